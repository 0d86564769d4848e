-- Code pages that holders have open, of vouchers whose terms ask for that: a till takes one only meanwhile, so that a
-- screenshot cannot be sold. One row a voucher at most; an end that is past is taken out by whoever opens another page.
create table code_pages (
    campaign_no integer not null,
    code        text not null,
    open_until  timestamptz not null,   -- exclusive, by the ledger's clock
    primary key (campaign_no, code)
);
create index code_pages_by_end on code_pages (open_until);

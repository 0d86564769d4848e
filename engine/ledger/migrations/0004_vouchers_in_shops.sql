-- Vouchers in shops: what was done with each, by whom, when, and for which order.

-- A voucher's row decides. Every step is an update of that row that names the number of the step before it, so of two
-- tills that want the same voucher one finds the row as it saw it, and the other does not.
alter table vouchers
    add column step      integer not null default 0,        -- steps taken so far
    add column made_by   integer not null default 0,        -- the step that made its state; 0: the claim
    add column is_hidden boolean not null default false,    -- its holder wants to see it no more
    add constraint vouchers_state check
        (state in ('pending', 'locked', 'redeemed', 'invalidated', 'cancelled', 'deleted', 'expired'));

-- No index has a column that a step changes, so a step writes the row anew on its own page and no index (HOT), as long as
-- there is room on the page: a tenth is kept free.
alter table vouchers set (fillfactor = 90);

-- One row for each step in the life of a voucher (domain/voucher.py); only ever added. Which columns are set depends on
-- the kind. Money is in minor units.
create table voucher_steps (
    campaign_no   integer not null,
    code          text not null,
    step          integer not null check (step > 0),
    kind          text not null check (kind in
                  ('lock', 'redeem', 'release', 'give_back', 'refund', 'invalidate', 'cancel', 'delete')),
    at            timestamptz not null,         -- when it was decided, by the ledger's clock
    offer_no      smallint not null,            -- with the version: the terms of the claim, which were read
    terms_version integer not null,
    request       uuid,                         -- made of merchant and request_no: names what the merchant asked for
    digest        bytea,                        -- of all that the request asked for
    request_no    text,
    merchant      text,                         -- of the store, as the terms have it
    store         text,
    clerk         text,
    order_no      text,
    payment_no    text,
    payment_place smallint,                     -- from 1 to what a payment takes of the campaign; null: takes no place
    amount        bigint,                       -- redeem, lock: what was due; refund, give_back: what is paid back
    discount      bigint,                       -- redeem: given; refund, give_back: taken back, of the redemption's
    lines         jsonb,                        -- of the order: [{"id", "amount", "discount"}]
    until         timestamptz,                  -- lock: its end, exclusive
    of_step       integer,                      -- release: the lock; refund, give_back: the redemption
    day           date,                         -- of `at`, in the campaign's zone: what statements count it under
    actor         text,                         -- invalidate, cancel, delete: who
    reason        text,                         -- invalidate, cancel: why, as the holder is told
    by            text check (by in ('merchant', 'user')),   -- give_back, refund: who wanted it
    is_completed  boolean,                      -- give_back, refund: whether the order was completed
    primary key (campaign_no, code, step)       -- last line: no step of a voucher is taken twice
);

-- Last line of idempotency: a merchant's request has done one thing. It is found by this too.
create unique index voucher_steps_one_request on voucher_steps (request) where request is not null;

-- Last line of "one voucher a payment". A redemption that was given back loses its place.
create unique index voucher_steps_one_payment_place on voucher_steps (merchant, payment_no, campaign_no, payment_place)
    where payment_place is not null;

-- Statements: the steps that move money, by merchant, day and store.
create index voucher_steps_of_statement on voucher_steps (merchant, day, store)
    where kind in ('redeem', 'give_back', 'refund');

-- A till may be shown a code that is in quarantine.
create index quarantine_of_code on quarantine (campaign_no, code);

-- Which stores take it, and whose they are: what a till is shown of a user's vouchers are those of its merchant alone.
alter table terms
    add column stores jsonb not null generated always as (promise -> 'offer' -> 'stores') stored,
    add column merchants jsonb not null generated always as (jsonb_path_query_array(promise, '$.stores.*.merchant')) stored;
create index terms_of_merchant on terms using gin (merchants);
create index terms_of_store on terms using gin (stores);

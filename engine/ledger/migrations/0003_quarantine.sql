-- Claims that Postgres refused as data, and what became of them. A claim stands here instead of in `claims`, put in
-- by the transaction that moved the cursor past it. While it is `held` it counts like a settled claim: its claimant
-- holds it, its unit is used. `retried`: it is in `claims` by now. `voided`: it was taken back; its unit stays used.
create table quarantine (
    campaign_no     integer not null references campaigns,
    epoch           bigint not null,
    sequence        bigint not null,
    claim           bytea not null,             -- domain Claim as JSON, whole: bytes hold what a typed column refuses
    wave_no         smallint not null,
    offer_no        smallint not null,
    unit            numeric not null,           -- as the log has them, however long
    nth             numeric not null,
    request_no      numeric not null,
    claimant        text not null,              -- to look it up by: a hash where text or an index cannot hold it
    account         text not null,
    code            text not null,
    sqlstate        text not null,
    constraint_name text not null,              -- empty where it was none
    error           text not null,              -- what Postgres said, without values
    quarantined_at  timestamptz not null default now(),
    state           text not null default 'held' check (state in ('held', 'retried', 'voided')),
    ended_by        text not null default '',
    ended_reason    text not null default '',
    ended_at        timestamptz,
    primary key (campaign_no, epoch, sequence)
);

create index quarantine_of_claimant on quarantine (campaign_no, claimant);
create index quarantine_of_account on quarantine (campaign_no, account);

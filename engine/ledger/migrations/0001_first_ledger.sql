-- The ledger: what is remembered. Every key leads with the campaign, so that one campaign's rows lie
-- together and can be moved or dropped together. Instants are timestamptz; money is in minor units.

create table campaigns (
    campaign_no   integer primary key check (campaign_no between 0 and 32767),   -- given by apply, for good
    id            text not null unique,
    code_prefix   text not null unique,         -- first three characters of every voucher code
    revision      integer not null,             -- applies that changed something, from 1
    definition    jsonb not null,               -- the campaign as the file states it (domain Campaign)
    applied_by    text not null,
    applied_at    timestamptz not null default now()
);

-- Offers and waves that left the file keep their rows, so that their numbers are never given again.
create table offers (
    campaign_no   integer not null references campaigns,
    offer_no      smallint not null check (offer_no > 0),    -- small and for good: claims name offers by it
    id            text not null,
    primary key (campaign_no, offer_no),
    unique (campaign_no, id)
);

-- What was promised, version by version. Rows are only ever added (P8).
create table terms (
    campaign_no   integer not null,
    offer_no      smallint not null,
    version       integer not null,
    hash          text not null,
    promise       jsonb not null,               -- domain Promise
    made_at       timestamptz not null default now(),
    primary key (campaign_no, offer_no, version),
    foreign key (campaign_no, offer_no) references offers
);

-- Times, stock and state: as applied, then as the settled acts of the wave say. What else a wave has
-- (eligibility, rollover) stands in the definition alone.
create table waves (
    campaign_no   integer not null references campaigns,
    wave_no       smallint not null check (wave_no > 0),
    id            text not null unique,         -- unique over all campaigns: the claim endpoint names it alone
    round         text not null,
    day           date not null,                -- of the opening, in the campaign's zone
    opens_at      timestamptz not null,
    closes_at     timestamptz not null,
    revision      integer not null,             -- of the campaign, when apply last wrote this wave
    withdrawn     boolean not null default false,            -- no longer in the file
    state         text not null default 'scheduled'          -- scheduled: not yet in the hot store
                  check (state in ('scheduled', 'live', 'paused', 'closed', 'cancelled')),
    reason        text not null default '',
    closed_at     timestamptz,
    primary key (campaign_no, wave_no),
    check (opens_at < closes_at)
);

create table stocks (
    campaign_no   integer not null,
    wave_no       smallint not null,
    offer_no      smallint not null,
    total         integer not null check (total >= 0),
    primary key (campaign_no, wave_no, offer_no),
    foreign key (campaign_no, wave_no) references waves,
    foreign key (campaign_no, offer_no) references offers
);

-- How far the log of each shard is settled. The compare-and-set on (epoch, last) is what makes
-- settling exactly once: see docs/decisions.
create table cursors (
    campaign_no   integer primary key references campaigns,
    epoch         bigint not null,
    last          bigint not null,
    act           bigint not null default 0,    -- number of the last act that was settled
    revision      integer not null default 0,   -- catalogue revision that was last put into the hot store
    moved_at      timestamptz not null default now()
);

create table claims (
    campaign_no   integer not null,
    epoch         bigint not null,
    sequence      bigint not null,
    wave_no       smallint not null,
    offer_no      smallint not null,
    unit          integer not null,
    nth           smallint not null,
    request_no    smallint not null,
    terms_version integer not null,
    claimed_at    timestamptz not null,
    claimant      text not null,
    account       text,                         -- null where it is the claimant
    code          text not null,
    settled_at    timestamptz not null default now(),
    primary key (campaign_no, epoch, sequence),
    constraint claims_one_claimant_nth unique (campaign_no, claimant, nth),       -- last line of P2
    constraint claims_one_unit unique (campaign_no, wave_no, offer_no, unit)      -- last line of P1
);

create index claims_of_account on claims (campaign_no, account) where account is not null;

create table vouchers (
    campaign_no   integer not null,
    code          text not null,
    epoch         bigint not null,
    sequence      bigint not null,
    valid_from    timestamptz not null,
    expires_at    timestamptz not null,
    state         text not null default 'pending',
    primary key (campaign_no, code)
);

create table acts (
    campaign_no   integer not null,
    epoch         bigint not null,
    sequence      bigint not null,
    number        bigint not null,
    id            text not null,
    kind          text not null,
    wave_no       smallint not null,            -- 0: an act on the campaign
    revision      integer not null,             -- put_campaign: of the catalogue that was put; else 0
    actor         text not null,
    reason        text not null,
    decided_at    timestamptz not null,         -- by the store's clock
    state         jsonb,                        -- domain WaveState, the wave after the act
    settled_at    timestamptz not null default now(),
    primary key (campaign_no, epoch, sequence),
    unique (campaign_no, number)
);

-- Who is steward, who writes. A lease saves work; it is the cursor and the epochs that keep things right.
create table leases (
    role          text primary key,
    holder        text not null,
    term          bigint not null,              -- rises with each new holder
    expires_at    timestamptz not null
);

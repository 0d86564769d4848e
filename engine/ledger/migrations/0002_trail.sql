-- The audit trail: who did what to a campaign, when and why, with what was before and after. Entries are
-- written in the transaction of what they tell of, and each carries the hash of the one before it, so that
-- one that was changed, taken out or put in between shows. What the hash is made of: engine/ledger/trail.py.

create table trail (
    campaign_no   integer not null references campaigns,
    position      integer not null check (position > 0),   -- without gaps, from 1
    at            timestamptz not null,         -- an act: by the store's clock; an apply: by Postgres's
    actor         text not null,
    reason        text not null,
    kind          text not null,                -- apply, or domain ActKind
    subject       text not null,                -- id of the wave, or of the campaign
    before        jsonb,                        -- null: it was not there, or not known
    after         jsonb,
    previous_hash text not null,                -- '' for the first
    hash          text not null,                -- SHA-256, hex
    primary key (campaign_no, position)
);

create index trail_of_subject on trail (campaign_no, subject, position);

create function trail_is_only_added_to() returns trigger language plpgsql as $$
begin
    raise exception 'the audit trail is only ever added to: % is refused', tg_op using errcode = 'restrict_violation';
end
$$;

create trigger trail_is_only_added_to before update or delete or truncate on trail
for each statement execute function trail_is_only_added_to();

-- also for a session that plays a replica, where ordinary triggers are silent
alter table trail enable always trigger trail_is_only_added_to;

-- The last entry, kept apart: a trail that lost its end would look whole otherwise. Apply and settling both
-- hold the cursor's row when they add entries, so positions need no lock of their own.
alter table cursors
    add column trail_position integer not null default 0,
    add column trail_hash     text not null default '';

alter table acts
    add column rules          jsonb,            -- domain Rules, the campaign's rules after the act
    add column trail_position integer;          -- of the act's entry; null: settled before there was a trail

create index acts_of_wave on acts (campaign_no, wave_no, number);

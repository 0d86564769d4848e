-- name: lock_campaigns
-- One apply at a time, over all campaigns: numbers and wave ids are given out under it. Readers and
-- settling go on.
lock table campaigns in share row exclusive mode

-- name: read_definition
select campaign_no, revision, definition, applied_by, applied_at from campaigns where id = $1

-- name: next_campaign_no
select coalesce(max(campaign_no) + 1, 0) from campaigns

-- name: hold_cursor
-- Settling of this campaign waits until the apply is done, so both see whole states of its waves.
select trail_position, trail_hash, revision from cursors where campaign_no = $1 for update

-- name: clock
select clock_timestamp()

-- name: wave_standings
select wave_no, id, opens_at <= clock_timestamp() as opened, closes_at <= clock_timestamp() as past, state, withdrawn,
       opens_at, closes_at, day
from waves where campaign_no = $1

-- name: stocks_of_waves
select s.wave_no, o.id as offer, s.total
from stocks s join offers o using (campaign_no, offer_no)
where s.campaign_no = $1

-- name: claimed
-- Reads every claim of the campaign: a second for a million.
select c.claims, t.promise
from (select offer_no, terms_version, count(*) as claims from claims where campaign_no = $1 group by 1, 2) c
join terms t on t.campaign_no = $1 and t.offer_no = c.offer_no and t.version = c.terms_version

-- name: waves_elsewhere
select w.id as wave, c.id as campaign
from waves w join campaigns c using (campaign_no)
where w.id = any($1::text[]) and c.id <> $2
order by w.id

-- name: offers_with_terms
select o.offer_no, o.id, t.version, t.hash
from offers o left join lateral (
    select version, hash from terms
    where campaign_no = o.campaign_no and offer_no = o.offer_no
    order by version desc limit 1
) t on true
where o.campaign_no = $1

-- name: insert_campaign
insert into campaigns (campaign_no, id, code_prefix, revision, definition, applied_by)
values ($1, $2, $3, 1, $4, $5)

-- name: update_campaign
update campaigns set revision = $2, definition = $3, applied_by = $4, applied_at = clock_timestamp()
where campaign_no = $1

-- name: insert_cursor
insert into cursors (campaign_no, epoch, last) values ($1, 1, 0)

-- name: insert_offer
insert into offers (campaign_no, offer_no, id) values ($1, $2, $3)

-- name: insert_terms
insert into terms (campaign_no, offer_no, version, hash, promise) values ($1, $2, $3, $4, $5)

-- name: put_wave
insert into waves (campaign_no, wave_no, id, round, day, opens_at, closes_at, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (campaign_no, wave_no) do update
set round = excluded.round, day = excluded.day, opens_at = excluded.opens_at, closes_at = excluded.closes_at,
    revision = excluded.revision, withdrawn = false

-- name: withdraw_waves
update waves set withdrawn = true, revision = $3 where campaign_no = $1 and wave_no = any($2::smallint[])

-- name: clear_stocks
delete from stocks where campaign_no = $1 and wave_no = any($2::smallint[])

-- name: insert_stock
insert into stocks (campaign_no, wave_no, offer_no, total) values ($1, $2, $3, $4)

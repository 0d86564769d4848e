-- name: campaigns
-- $1: one campaign's id, or null for all.
select campaign_no, id, code_prefix, revision, definition, applied_at
from campaigns
where $1::text is null or id = $1
order by campaign_no

-- name: offers
select o.campaign_no, o.offer_no, o.id
from offers o join campaigns c using (campaign_no)
where $1::text is null or c.id = $1

-- name: terms
select t.campaign_no, t.offer_no, t.version, t.hash, t.promise
from terms t join campaigns c using (campaign_no)
where $1::text is null or c.id = $1
order by t.campaign_no, t.offer_no, t.version

-- name: waves
select w.campaign_no, w.wave_no, w.id, w.round, w.day, w.opens_at, w.closes_at, w.state, w.reason, w.closed_at
from waves w join campaigns c using (campaign_no)
where not w.withdrawn and ($1::text is null or c.id = $1)

-- name: stocks
select s.campaign_no, s.wave_no, s.offer_no, s.total
from stocks s join campaigns c using (campaign_no)
where $1::text is null or c.id = $1
order by s.campaign_no, s.wave_no, s.offer_no

-- name: campaign_no
select campaign_no from campaigns where id = $1

-- name: campaign_of_wave
select c.id from waves w join campaigns c using (campaign_no) where w.id = $1 and not w.withdrawn

-- name: promises
select offer_no, version, promise from terms where campaign_no = $1

-- name: days
-- As the hot store had it: what apply has written since may not have reached it.
select w.wave_no, coalesce(put.day, w.day) as day
from waves w left join lateral (
    select (a.state ->> 'day')::date as day
    from acts a
    where a.campaign_no = w.campaign_no and a.wave_no = w.wave_no and a.state is not null
    order by a.number desc limit 1
) put on true
where w.campaign_no = $1

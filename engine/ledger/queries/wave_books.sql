-- name: clock
select clock_timestamp()

-- name: planned
-- As the file states it, whatever acts have made of it since.
select (listed ->> 'opens_at')::timestamptz as opens_at, (listed ->> 'closes_at')::timestamptz as closes_at
from campaigns c cross join lateral jsonb_array_elements(c.definition -> 'waves') as listed
where c.campaign_no = $1 and listed ->> 'id' = $2

-- name: acts
-- Acts on the wave, and stops of the whole campaign. The newest, turned round by the caller.
select epoch, sequence, number, id, kind, wave_no, revision, actor, reason, decided_at, state, rules
from acts
where campaign_no = $1 and wave_no in ($2, 0) and (wave_no = $2 or kind in ('stop', 'start'))
order by number desc
limit $3

-- name: given
select offer_no, terms_version, count(*) as claims, min(claimed_at) as first_at, max(claimed_at) as last_at
from claims
where campaign_no = $1 and wave_no = $2
group by offer_no, terms_version
order by offer_no, terms_version

-- name: apart
-- A held claim counts in the hot store, a voided one has used its unit up; a retried one is among the claims.
select offer_no, count(*) filter (where state = 'held') as held, count(*) filter (where state = 'voided') as voided
from quarantine
where campaign_no = $1 and wave_no = $2 and state <> 'retried'
group by offer_no

-- name: pace
-- Claims by offer and second since the opening ($3), of the first $4; and as the last row, without an offer, the
-- busiest second of all. A wave that lasts for years has many seconds, so only these leave the ledger.
with seconds as materialized (
    select offer_no, date_trunc('second', claimed_at - $3::timestamptz) as since, count(*) as claims
    from claims
    where campaign_no = $1 and wave_no = $2
    group by 1, 2
)
(select offer_no, since, claims::bigint from seconds where since >= interval '0' and since < $4::interval)
union all
(select null, since, sum(claims)::bigint from seconds group by since order by 3 desc, since limit 1)

-- name: accounts
select count(*) as accounts
from (select from claims where campaign_no = $1 and wave_no = $2 group by coalesce(account, claimant)) asked

-- name: claimants
select count(*) as claimants
from (select from claims where campaign_no = $1 and wave_no = $2 group by claimant) held

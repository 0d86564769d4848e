-- name: stocks
select wave_no, offer_no, total from stocks where campaign_no = $1

-- name: claims
select wave_no, offer_no, request_no, epoch, sequence, unit, nth, terms_version,
       (extract(epoch from claimed_at) * 1000)::bigint, code, claimant, coalesce(account, claimant)
from claims where campaign_no = $1
order by epoch, sequence

-- name: repeated_codes
-- $2: the campaign's code prefix. A code of another campaign's is as bad as one given twice.
select count(*) - count(distinct code) as repeated, count(*) filter (where left(code, 3) <> $2) as foreign_codes
from (
    select code from claims where campaign_no = $1
    union all
    select code from quarantine where campaign_no = $1 and state = 'held'
) known

-- name: strays
-- A full join, because Postgres never does one row by row: on tables that have just been filled it believes
-- that there are few rows, and would go through all vouchers for each claim.
select epoch, sequence, v.code is null as is_claim
from (select epoch, sequence, code from claims where campaign_no = $1) c
full join (select epoch, sequence, code from vouchers where campaign_no = $1) v using (epoch, sequence, code)
where c.code is null or v.code is null
order by epoch, sequence
limit $2

-- name: vouchers
select count(c.code) as claims, count(v.code) as vouchers,
       count(*) filter (where v.code is null) as claims_without, count(*) filter (where c.code is null) as vouchers_without
from (select epoch, sequence, code from claims where campaign_no = $1) c
full join (select epoch, sequence, code from vouchers where campaign_no = $1) v using (epoch, sequence, code)

-- name: claimants
select count(*) as claimants, coalesce(max(claims), 0) as claims_max,
       count(*) filter (where claims <> nth_max or nth_min <> 1) as misnumbered
from (
    select claimant, count(*) as claims, min(nth) as nth_min, max(nth) as nth_max
    from claims where campaign_no = $1
    group by claimant
) held

-- name: repeated_requests
select coalesce(sum(claims - 1), 0)::bigint as repeated
from (
    select count(*) as claims
    from claims where campaign_no = $1
    group by coalesce(account, claimant), wave_no, request_no
    having count(*) > 1
) asked

-- name: limit
-- $2: campaign, round, wave or day.
select coalesce(max(claims), 0) as claims_max, count(*) filter (where claims > $3) as over
from (
    select count(*) as claims
    from claims c join waves w using (campaign_no, wave_no)
    where c.campaign_no = $1
    group by c.claimant, case $2::text when 'round' then w.round when 'wave' then w.id when 'day' then w.day::text end
) held

-- name: vouchers
select count(c.code) as claims, count(v.code) as vouchers,
       count(*) filter (where v.code is null) as claims_without, count(*) filter (where c.code is null) as vouchers_without
from (select epoch, sequence, code from claims where campaign_no = $1) c
full join (select epoch, sequence, code from vouchers where campaign_no = $1) v using (epoch, sequence, code)

-- name: claimants
-- With the claims in quarantine. Where one was voided, its number may be missing, or be given again.
select count(*) filter (where claims > 0) as claimants, coalesce(max(claims), 0) as claims_max,
       count(*) filter (where voided = 0 and (claims <> nth_max or nth_min <> 1)) as misnumbered
from (
    select claimant, count(*) filter (where counts) as claims, count(*) filter (where not counts) as voided,
           min(nth) as nth_min, max(nth) as nth_max
    from (
        select claimant, nth, true as counts from claims where campaign_no = $1
        union all
        select claimant, least(nth, 32767)::smallint, state = 'held'
        from quarantine where campaign_no = $1 and state <> 'retried'
    ) known
    group by claimant
) held

-- name: repeated_requests
select coalesce(sum(claims - 1), 0)::bigint as repeated
from (
    select count(*) as claims
    from (
        select coalesce(account, claimant) as account, wave_no, request_no from claims where campaign_no = $1
        union all
        select account, wave_no, least(request_no, 32767)::smallint
        from quarantine where campaign_no = $1 and state = 'held'
    ) known
    group by account, wave_no, request_no
    having count(*) > 1
) asked

-- name: limit
-- $2: campaign, round, wave or day.
select coalesce(max(claims), 0) as claims_max, count(*) filter (where claims > $3) as over
from (
    select count(*) as claims
    from (
        select claimant, wave_no from claims where campaign_no = $1
        union all
        select claimant, wave_no from quarantine where campaign_no = $1 and state = 'held'
    ) c join waves w on w.campaign_no = $1 and w.wave_no = c.wave_no
    group by c.claimant, case $2::text when 'round' then w.round when 'wave' then w.id when 'day' then w.day::text end
) held

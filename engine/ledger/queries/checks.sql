-- name: numbering
select epoch, min(sequence) as first, max(sequence) as last, count(*) as decisions, count(distinct sequence) as numbers
from (
    select epoch, sequence from claims where campaign_no = $1
    union all
    select epoch, sequence from acts where campaign_no = $1
) decided
group by epoch
order by epoch

-- name: stock
select coalesce(s.wave_no, c.wave_no) as wave_no, coalesce(s.offer_no, c.offer_no) as offer_no,
       coalesce(s.total, 0) as total, coalesce(c.claims, 0) as claims,
       coalesce(c.unit_min, 0) as unit_min, coalesce(c.unit_max, 0) as unit_max
from (select wave_no, offer_no, total from stocks where campaign_no = $1) s
full join (
    select wave_no, offer_no, count(*) as claims, min(unit) as unit_min, max(unit) as unit_max
    from claims where campaign_no = $1
    group by wave_no, offer_no
) c using (wave_no, offer_no)
order by 1, 2

-- name: windows
-- shut: decided between an act that paused, closed or cancelled the wave and the next act on it. By numbers,
-- not by times: a clock may step back between the two.
with acts_of as (
    select wave_no, epoch, sequence, state ->> 'state' as state,
           lead(epoch) over next_act as next_epoch, lead(sequence) over next_act as next_sequence
    from acts where campaign_no = $1 and state is not null
    window next_act as (partition by wave_no order by epoch, sequence)
),
shut as (
    select a.wave_no, count(*) as claims
    from acts_of a join claims c on c.campaign_no = $1 and c.wave_no = a.wave_no
        and (c.epoch, c.sequence) > (a.epoch, a.sequence)
        and (a.next_epoch is null or (c.epoch, c.sequence) < (a.next_epoch, a.next_sequence))
    where a.state in ('paused', 'closed', 'cancelled')
    group by a.wave_no
),
timed as (
    select w.wave_no, count(c.sequence) as claims,
           count(*) filter (where c.claimed_at < w.opens_at) as early,
           count(*) filter (where c.claimed_at >= w.closes_at) as late
    from waves w left join claims c using (campaign_no, wave_no)
    where w.campaign_no = $1
    group by w.wave_no
)
select wave_no, t.claims, t.early, t.late, coalesce(s.claims, 0) as shut
from timed t left join shut s using (wave_no)
order by wave_no

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

-- name: terms
select c.offer_no, c.terms_version as version, c.claims, t.version is not null as known
from (
    select offer_no, terms_version, count(*) as claims
    from claims where campaign_no = $1
    group by offer_no, terms_version
) c left join terms t on t.campaign_no = $1 and t.offer_no = c.offer_no and t.version = c.terms_version
order by 1, 2

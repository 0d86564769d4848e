-- name: counts
-- Quarantined claims count while they are held; their units are used up, voided ones too.
select wave_no, offer_no, sum(claims)::bigint as claims, max(unit_max) as unit_max, sum(voided)::bigint as voided
from (
    select wave_no, offer_no, count(*) as claims, max(unit)::numeric as unit_max, 0 as voided
    from claims where campaign_no = $1
    group by wave_no, offer_no
    union all
    select wave_no, offer_no, count(*) filter (where state = 'held'), max(unit), count(*) filter (where state = 'voided')
    from quarantine where campaign_no = $1 and state <> 'retried'
    group by wave_no, offer_no
) given
group by wave_no, offer_no

-- name: later_claimants
-- The claimants of claims behind the first, of $2 of them at most.
select claimant from claims where campaign_no = $1 and nth > 1
limit $2

-- name: all_claims
-- As they lie. date_part gives a double, which is exact for milliseconds; extract gives a numeric, which takes longer
-- than all the rest.
select wave_no, offer_no, request_no, epoch, sequence, unit, nth, terms_version,
       (date_part('epoch', claimed_at) * 1000)::bigint, code, claimant, coalesce(account, claimant)
from claims where campaign_no = $1

-- name: all_claims_by_claimant
select wave_no, offer_no, request_no, epoch, sequence, unit, nth, terms_version,
       (date_part('epoch', claimed_at) * 1000)::bigint, code, claimant, coalesce(account, claimant)
from claims where campaign_no = $1
order by claimant, nth

-- name: of_claimant
select wave_no, offer_no, request_no, epoch, sequence, unit, nth, terms_version,
       (extract(epoch from claimed_at) * 1000)::bigint, code, claimant, coalesce(account, claimant)
from claims where campaign_no = $1 and claimant = $2
order by nth

-- name: of_account
-- Two looks a campaign, each by an index: claims whose claimant is the account, and those of an account
-- that claimed for somebody (limits counted by person).
select c.id, found.*
from campaigns c cross join lateral (
    select wave_no, offer_no, request_no, epoch, sequence, unit, nth, terms_version,
           (extract(epoch from claimed_at) * 1000)::bigint as claimed_at_ms, code, claimant, $1::text as account
    from claims where campaign_no = c.campaign_no and claimant = $1 and account is null
    union all
    select wave_no, offer_no, request_no, epoch, sequence, unit, nth, terms_version,
           (extract(epoch from claimed_at) * 1000)::bigint, code, claimant, account
    from claims where campaign_no = c.campaign_no and account = $1
) found
order by found.claimed_at_ms desc, c.campaign_no desc, found.epoch desc, found.sequence desc
limit $2

-- name: settled_codes
-- Of the decisions of campaign $1 named by $2 (epochs) and $3 (sequences): the codes of claims that count.
select code
from claims join campaigns c using (campaign_no)
join unnest($2::bigint[], $3::bigint[]) as asked (epoch, sequence) using (epoch, sequence)
where c.id = $1
union all
select code
from quarantine join campaigns c using (campaign_no)
join unnest($2::bigint[], $3::bigint[]) as asked (epoch, sequence) using (epoch, sequence)
where c.id = $1 and state = 'held'

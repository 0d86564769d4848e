-- name: merchants
-- Every merchant that has ever redeemed, in order: one look into the index for each, however many steps there are.
with recursive found as (
    select min(merchant) as merchant from voucher_steps where kind in ('redeem', 'give_back', 'refund')
    union all
    select (select min(s.merchant) from voucher_steps s
            where s.kind in ('redeem', 'give_back', 'refund') and s.merchant > f.merchant)
    from found f where f.merchant is not null
)
select merchant from found where merchant is not null

-- name: sums
-- What was redeemed and taken back at the stores $2 of the merchants $1 (the n-th of one belongs to the n-th of the
-- other; $2 null: at all stores of these merchants) from day $3 to day $4, at most $5 rows. One row at least: `now`.
with moved as materialized (
    select s.merchant, s.day, s.store, s.campaign_no, s.offer_no, s.terms_version,
           count(*) filter (where s.kind = 'redeem') as redemptions,
           count(*) filter (where s.kind = 'give_back') as given_back,
           count(*) filter (where s.kind = 'refund') as refunded,
           sum(s.amount) filter (where s.kind = 'redeem') as amount,
           sum(s.discount) filter (where s.kind = 'redeem') as discount,
           sum(s.amount) filter (where s.kind <> 'redeem') as reversed_amount,
           sum(s.discount) filter (where s.kind <> 'redeem') as taken_back
    from voucher_steps s
    where s.kind in ('redeem', 'give_back', 'refund') and s.merchant = any($1::text[]) and s.day between $3 and $4
      and ($2::text[] is null or (s.merchant, s.store) in (select * from unnest($1::text[], $2::text[])))
    group by s.merchant, s.day, s.store, s.campaign_no, s.offer_no, s.terms_version
), named as materialized (
    select t.campaign_no, t.offer_no, t.version, c.id as campaign, c.is_sandbox,
           coalesce(t.promise -> 'offer' ->> 'funder', '') as funder,
           t.promise ->> 'currency' as currency, t.promise ->> 'timezone' as timezone,
           t.promise -> 'offer' ->> 'kind' = 'gift' as is_gift,
           (t.promise -> 'offer' ->> 'face')::bigint - coalesce((t.promise -> 'offer' ->> 'price')::bigint, 0) as worth
    from (select distinct campaign_no, offer_no, terms_version from moved) m
    join terms t on (t.campaign_no, t.offer_no, t.version) = (m.campaign_no, m.offer_no, m.terms_version)
    join (select campaign_no, id, coalesce((definition ->> 'sandbox')::boolean, false) as is_sandbox from campaigns
          where campaign_no in (select campaign_no from moved)) c on c.campaign_no = t.campaign_no
)
select look.now, r.*
from (select statement_timestamp() as now) look
left join lateral (
    select m.day, m.merchant, m.store, n.campaign, n.is_sandbox, n.funder, n.currency, n.timezone, null::text as line,
           sum(m.redemptions)::bigint as redemptions, sum(m.given_back)::bigint as given_back,
           sum(m.refunded)::bigint as refunded, coalesce(sum(m.amount), 0)::numeric as amount,
           coalesce(sum(m.discount), 0)::numeric as discount,
           coalesce(sum(m.reversed_amount), 0)::numeric as reversed_amount,
           coalesce(sum(m.taken_back), 0)::numeric as taken_back,
           coalesce(sum(m.redemptions) filter (where n.is_gift), 0)::bigint as gifts,
           coalesce(sum(m.given_back) filter (where n.is_gift), 0)::bigint as gifts_given_back,
           coalesce(sum((m.redemptions - m.given_back) * n.worth) filter (where n.is_gift), 0)::numeric as gift_value,
           coalesce(sum(coalesce(m.discount, 0) - coalesce(m.taken_back, 0)) filter (where n.is_gift), 0)::numeric
               as gift_discount
    from moved m
    join named n on (n.campaign_no, n.offer_no, n.version) = (m.campaign_no, m.offer_no, m.terms_version)
    group by m.day, m.merchant, m.store, n.campaign, n.is_sandbox, n.funder, n.currency, n.timezone
    order by m.day, m.merchant, m.store, n.campaign, n.funder, n.currency, n.timezone
    limit $5
) r on true

-- name: sums_by_line
-- The same for each line that the tills named: its amount and its share of the discount. What has no line (orders without
-- lines, and reversals, which are of an order) stands under null. An order counts once for each of its lines.
with moved as materialized (
    select s.merchant, s.day, s.store, s.campaign_no, s.offer_no, s.terms_version, nullif(l.id, '') as line,
           count(distinct s.code || s.step) filter (where s.kind = 'redeem') as redemptions,
           count(*) filter (where s.kind = 'give_back') as given_back,
           count(*) filter (where s.kind = 'refund') as refunded,
           sum(coalesce(l.amount, s.amount)) filter (where s.kind = 'redeem') as amount,
           sum(coalesce(l.discount, s.discount)) filter (where s.kind = 'redeem') as discount,
           sum(s.amount) filter (where s.kind <> 'redeem') as reversed_amount,
           sum(s.discount) filter (where s.kind <> 'redeem') as taken_back
    from voucher_steps s
    left join lateral jsonb_to_recordset(case when s.kind = 'redeem' then s.lines end)
        as l (id text, amount bigint, discount bigint) on true
    where s.kind in ('redeem', 'give_back', 'refund') and s.merchant = any($1::text[]) and s.day between $3 and $4
      and ($2::text[] is null or (s.merchant, s.store) in (select * from unnest($1::text[], $2::text[])))
    group by s.merchant, s.day, s.store, s.campaign_no, s.offer_no, s.terms_version, nullif(l.id, '')
), named as materialized (
    select t.campaign_no, t.offer_no, t.version, c.id as campaign, c.is_sandbox,
           coalesce(t.promise -> 'offer' ->> 'funder', '') as funder,
           t.promise ->> 'currency' as currency, t.promise ->> 'timezone' as timezone,
           t.promise -> 'offer' ->> 'kind' = 'gift' as is_gift,
           (t.promise -> 'offer' ->> 'face')::bigint - coalesce((t.promise -> 'offer' ->> 'price')::bigint, 0) as worth
    from (select distinct campaign_no, offer_no, terms_version from moved) m
    join terms t on (t.campaign_no, t.offer_no, t.version) = (m.campaign_no, m.offer_no, m.terms_version)
    join (select campaign_no, id, coalesce((definition ->> 'sandbox')::boolean, false) as is_sandbox from campaigns
          where campaign_no in (select campaign_no from moved)) c on c.campaign_no = t.campaign_no
)
select look.now, r.*
from (select statement_timestamp() as now) look
left join lateral (
    select m.day, m.merchant, m.store, n.campaign, n.is_sandbox, n.funder, n.currency, n.timezone, m.line,
           sum(m.redemptions)::bigint as redemptions, sum(m.given_back)::bigint as given_back,
           sum(m.refunded)::bigint as refunded, coalesce(sum(m.amount), 0)::numeric as amount,
           coalesce(sum(m.discount), 0)::numeric as discount,
           coalesce(sum(m.reversed_amount), 0)::numeric as reversed_amount,
           coalesce(sum(m.taken_back), 0)::numeric as taken_back,
           coalesce(sum(m.redemptions) filter (where n.is_gift), 0)::bigint as gifts,
           coalesce(sum(m.given_back) filter (where n.is_gift), 0)::bigint as gifts_given_back,
           coalesce(sum((m.redemptions - m.given_back) * n.worth) filter (where n.is_gift), 0)::numeric as gift_value,
           coalesce(sum(coalesce(m.discount, 0) - coalesce(m.taken_back, 0)) filter (where n.is_gift), 0)::numeric
               as gift_discount
    from moved m
    join named n on (n.campaign_no, n.offer_no, n.version) = (m.campaign_no, m.offer_no, m.terms_version)
    group by m.day, m.merchant, m.store, n.campaign, n.is_sandbox, n.funder, n.currency, n.timezone, m.line
    order by m.day, m.merchant, m.store, n.campaign, n.funder, n.currency, n.timezone, m.line nulls first
    limit $5
) r on true

-- name: of_account_at_merchant
-- The vouchers of account $1 that are merchant $2's business (their terms name its store $3, or another of its stores),
-- with the places that are taken on payment $4 (empty: none), and how far the campaigns $6 are settled: all of one
-- instant. One row at least. At most $5 vouchers: those that may still be used come first, the soonest to expire ahead;
-- `of_all` is how many there are. What the user hides is not there. Two looks a campaign by an index, as for a card pack.
with mine as materialized (
    select campaign_no, offer_no, version from terms where merchants ? $2::text or stores ? $3::text
), held as materialized (
    select found.*
    from (select distinct campaign_no from mine) c cross join lateral (
        select cl.campaign_no, cl.code, cl.wave_no, cl.offer_no, cl.terms_version, cl.claimed_at
        from claims cl where cl.campaign_no = c.campaign_no and cl.claimant = $1 and cl.account is null
        union all
        select cl.campaign_no, cl.code, cl.wave_no, cl.offer_no, cl.terms_version, cl.claimed_at
        from claims cl where cl.campaign_no = c.campaign_no and cl.account = $1
    ) found
    join mine m on (m.campaign_no, m.offer_no, m.version) = (found.campaign_no, found.offer_no, found.terms_version)
)
select look.now, look.cursors, look.has_quarantined, v.*
from (
    select statement_timestamp() as now,
           (select jsonb_object_agg(k.campaign_no, jsonb_build_array(k.epoch, k.last))
            from cursors k where k.campaign_no = any($6::integer[])) as cursors,
           exists (select from (select distinct campaign_no from mine) c join quarantine q using (campaign_no)
                   where q.account = $1 and q.state = 'held') as has_quarantined
) look
left join lateral (
    select h.campaign_no, h.code as asked_code, h.wave_no, h.offer_no, h.terms_version, h.claimed_at, $1::text as account,
           v.valid_from, v.expires_at, v.state, v.step, v.is_hidden,
           m.kind as made_kind, m.at as made_at, m.merchant as made_merchant, m.store as made_store,
           m.order_no as made_order_no, m.reason as made_reason, m.until as made_until, m.step as made_step,
           taken.places, count(*) over () as of_all
    from held h
    join vouchers v on v.campaign_no = h.campaign_no and v.code = h.code and not v.is_hidden
    left join voucher_steps m on m.campaign_no = v.campaign_no and m.code = v.code and m.step = v.made_by
    left join lateral (
        select array_agg(s.payment_place) as places from voucher_steps s
        where $4::text <> '' and s.merchant = $2 and s.payment_no = $4
          and s.campaign_no = h.campaign_no and s.payment_place is not null
    ) taken on true
    order by case when v.state = 'locked' or v.state = 'pending' and v.expires_at > look.now then v.expires_at end,
             v.expires_at desc, h.code
    limit $5
) v on true

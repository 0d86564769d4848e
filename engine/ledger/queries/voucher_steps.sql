-- name: look_up
-- What the books say to what tills ask: $1 codes, $2 requests, $3 merchants, $4 numbers of payments (empty: none).
-- Each look goes by a whole key: a plan made while the tables were small is as good when they are large.
select a.code as asked_code, a.merchant as asked_merchant, a.request as asked_request,
       statement_timestamp() as now, c.campaign_no, c.id as campaign,
       v.valid_from, v.expires_at, v.state, v.step, v.is_hidden,
       cl.wave_no, cl.offer_no, cl.terms_version, cl.claimed_at, coalesce(cl.account, cl.claimant) as account,
       m.kind as made_kind, m.at as made_at, m.merchant as made_merchant, m.store as made_store,
       m.order_no as made_order_no, m.reason as made_reason, m.until as made_until,
       q.state as quarantined, q.ended_reason, q.ended_at,
       taken.places,
       known.campaign_no as known_campaign_no, known.code as known_code, known.step as known_step, known.kind as known_kind,
       known.at as known_at, known.digest as known_digest, known.offer_no as known_offer_no,
       known.terms_version as known_terms_version, known.request_no as known_request_no,
       known.store as known_store, known.clerk as known_clerk,
       known.order_no as known_order_no, known.payment_no as known_payment_no, known.amount as known_amount,
       known.discount as known_discount, known.lines as known_lines
from unnest($1::text[], $2::uuid[], $3::text[], $4::text[])
     with ordinality as a (code, request, merchant, payment_no, place)
left join campaigns c on c.code_prefix = left(a.code, 3)
left join vouchers v on v.campaign_no = c.campaign_no and v.code = a.code
left join claims cl on cl.campaign_no = v.campaign_no and cl.epoch = v.epoch and cl.sequence = v.sequence
left join voucher_steps m on m.campaign_no = v.campaign_no and m.code = v.code and m.step = v.made_by
left join voucher_steps known on known.request = a.request
left join lateral (
    select k.state, k.ended_reason, k.ended_at from quarantine k
    where k.campaign_no = c.campaign_no and k.code = a.code and k.state <> 'retried' and v.code is null
    limit 1
) q on true
left join lateral (
    select array_agg(s.payment_place) as places from voucher_steps s
    where a.payment_no <> '' and s.merchant = a.merchant and s.payment_no = a.payment_no
      and s.campaign_no = c.campaign_no and s.payment_place is not null
) taken on true
order by a.place

-- name: take
-- The one statement that decides. A voucher's row is changed where it is as it was seen, and only what was changed gets
-- a row in voucher_steps. The steps come in the order of the vouchers' keys, so that two batches that want the same
-- vouchers wait for each other and not in a circle.
with asked as materialized (
    select *
    from unnest($1::integer[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::timestamptz[], $7::smallint[],
                $8::integer[], $9::uuid[], $10::bytea[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
                $16::text[], $17::smallint[], $18::bigint[], $19::bigint[], $20::jsonb[], $21::date[])
         as a (campaign_no, code, step, kept, kind, at, offer_no, terms_version, request, digest, request_no, merchant,
               store, clerk, order_no, payment_no, payment_place, amount, discount, lines, day)
), moved as (
    update vouchers v set state = a.kept, step = a.step, made_by = a.step
    from asked a
    where v.campaign_no = a.campaign_no and v.code = a.code and v.step = a.step - 1
    returning v.campaign_no, v.code
)
insert into voucher_steps (campaign_no, code, step, kind, at, offer_no, terms_version, request, digest, request_no,
                           merchant, store, clerk, order_no, payment_no, payment_place, amount, discount, lines, day)
select a.campaign_no, a.code, a.step, a.kind, a.at, a.offer_no, a.terms_version, a.request, a.digest, a.request_no,
       a.merchant, a.store, a.clerk, a.order_no, a.payment_no, a.payment_place, a.amount, a.discount, a.lines, a.day
from asked a join moved using (campaign_no, code)
returning campaign_no, code

-- name: standings_of_codes
-- The vouchers of $1 and how they stand, with what made them so, for their holder. Those not settled yet are not there.
select v.code, v.state, v.step, v.is_hidden, v.valid_from, v.expires_at, statement_timestamp() as now,
       m.kind as made_kind, m.at as made_at, m.merchant as made_merchant, m.store as made_store,
       m.order_no as made_order_no, m.reason as made_reason, m.until as made_until
from unnest($1::integer[], $2::text[]) as a (campaign_no, code)
join vouchers v using (campaign_no, code)
left join voucher_steps m on m.campaign_no = v.campaign_no and m.code = v.code and m.step = v.made_by

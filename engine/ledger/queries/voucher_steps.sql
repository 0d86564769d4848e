-- name: look_up
-- What the books say to what tills ask: $1 codes, $2 requests, $3 merchants, $4 numbers of payments (empty: none).
-- Each look goes by a whole key: a plan made while the tables were small is as good when they are large.
select a.code as asked_code, a.merchant as asked_merchant, a.request as asked_request,
       statement_timestamp() as now, c.campaign_no, c.id as campaign,
       v.valid_from, v.expires_at, v.state, v.step, v.is_hidden,
       cl.wave_no, cl.offer_no, cl.terms_version, cl.claimed_at, coalesce(cl.account, cl.claimant) as account,
       m.kind as made_kind, m.at as made_at, m.merchant as made_merchant, m.store as made_store,
       m.order_no as made_order_no, m.reason as made_reason, m.until as made_until, m.step as made_step,
       q.state as quarantined, q.ended_reason, q.ended_at,
       taken.places,
       known.campaign_no as known_campaign_no, known.code as known_code, known.step as known_step, known.kind as known_kind,
       known.at as known_at, known.digest as known_digest, known.offer_no as known_offer_no,
       known.terms_version as known_terms_version, known.request_no as known_request_no,
       known.store as known_store, known.clerk as known_clerk,
       known.order_no as known_order_no, known.payment_no as known_payment_no, known.amount as known_amount,
       known.discount as known_discount, known.lines as known_lines, known.until as known_until,
       known.of_step as known_of_step, known.by as known_by, known.is_completed as known_is_completed
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
-- vouchers wait for each other and not in a circle. A step that a voucher's time allows comes before that time is over
-- (`before`), or not at all: one that was held up on its way makes no refusal false that was told after it.
with asked as materialized (
    select *
    from unnest($1::integer[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::timestamptz[], $7::smallint[],
                $8::integer[], $9::uuid[], $10::bytea[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
                $16::text[], $17::smallint[], $18::bigint[], $19::bigint[], $20::jsonb[], $21::date[],
                $22::timestamptz[], $23::integer[], $24::text[], $25::boolean[], $26::timestamptz[])
         as a (campaign_no, code, step, kept, kind, at, offer_no, terms_version, request, digest, request_no, merchant,
               store, clerk, order_no, payment_no, payment_place, amount, discount, lines, day,
               until, of_step, by, is_completed, before)
), moved as (
    update vouchers v
    set state = a.kept, step = a.step, made_by = case a.kind when 'refund' then a.of_step else a.step end,
        is_hidden = v.is_hidden and a.kind <> 'give_back'  -- its holder had hidden a card that was used
    from asked a
    where v.campaign_no = a.campaign_no and v.code = a.code and v.step = a.step - 1
      and (a.before is null or statement_timestamp() < a.before)
    returning v.campaign_no, v.code
), freed as (  -- what is given back leaves its payment to another voucher
    update voucher_steps s set payment_place = null
    from asked a join moved using (campaign_no, code)
    where a.kind = 'give_back' and s.campaign_no = a.campaign_no and s.code = a.code and s.step = a.of_step
)
insert into voucher_steps (campaign_no, code, step, kind, at, offer_no, terms_version, request, digest, request_no,
                           merchant, store, clerk, order_no, payment_no, payment_place, amount, discount, lines, day,
                           until, of_step, by, is_completed)
select a.campaign_no, a.code, a.step, a.kind, a.at, a.offer_no, a.terms_version, a.request, a.digest, a.request_no,
       a.merchant, a.store, a.clerk, a.order_no, a.payment_no, a.payment_place, a.amount, a.discount, a.lines, a.day,
       a.until, a.of_step, a.by, a.is_completed
from asked a join moved using (campaign_no, code)
returning campaign_no, code

-- name: step_of_request
-- What a request did ($1), as `look_up` tells it.
select s.request as asked_request, s.merchant as asked_merchant, s.campaign_no as known_campaign_no,
       s.code as known_code, s.step as known_step, s.kind as known_kind,
       s.at as known_at, s.digest as known_digest, s.offer_no as known_offer_no,
       s.terms_version as known_terms_version, s.request_no as known_request_no,
       s.store as known_store, s.clerk as known_clerk,
       s.order_no as known_order_no, s.payment_no as known_payment_no, s.amount as known_amount,
       s.discount as known_discount, s.lines as known_lines, s.until as known_until,
       s.of_step as known_of_step, s.by as known_by, s.is_completed as known_is_completed
from voucher_steps s
where s.request = $1

-- name: reversals
-- The reversals of redemptions, oldest first: $1 campaigns, $2 codes, $3 steps of the redemptions.
select s.request as asked_request, s.merchant as asked_merchant, s.campaign_no as known_campaign_no,
       s.code as known_code, s.step as known_step, s.kind as known_kind,
       s.at as known_at, s.digest as known_digest, s.offer_no as known_offer_no,
       s.terms_version as known_terms_version, s.request_no as known_request_no,
       s.store as known_store, s.clerk as known_clerk,
       s.order_no as known_order_no, s.payment_no as known_payment_no, s.amount as known_amount,
       s.discount as known_discount, s.lines as known_lines, s.until as known_until,
       s.of_step as known_of_step, s.by as known_by, s.is_completed as known_is_completed
from unnest($1::integer[], $2::text[], $3::integer[]) as a (campaign_no, code, of_step)
join voucher_steps s using (campaign_no, code, of_step)
where s.kind in ('give_back', 'refund')
order by s.campaign_no, s.code, s.step

-- name: look_up
-- What the books say to what tills ask: $1 codes, $2 requests, $3 merchants, $4 numbers of payments (empty: none). It and
-- `take` are functions (migrations/0005_tills_by_keys.sql, 0007), so that they are planned by keys and once a connection.
select * from look_up_vouchers($1, $2, $3, $4)

-- name: take
-- The one statement that decides: $1 the steps in the order of the vouchers' keys, a row each.
select campaign_no, code from take_voucher_steps($1::asked_voucher_step[])

-- name: steps_of_requests
-- What each of these requests ($1) did, as `look_up` tells it.
select s.request as asked_request, s.merchant as asked_merchant, s.campaign_no as known_campaign_no,
       s.code as known_code, s.step as known_step, s.kind as known_kind,
       s.at as known_at, s.digest as known_digest, s.offer_no as known_offer_no,
       s.terms_version as known_terms_version, s.request_no as known_request_no,
       s.store as known_store, s.clerk as known_clerk,
       s.order_no as known_order_no, s.payment_no as known_payment_no, s.amount as known_amount,
       s.discount as known_discount, s.lines as known_lines, s.until as known_until,
       s.of_step as known_of_step, s.by as known_by, s.is_completed as known_is_completed
from voucher_steps s
where s.request = any($1::uuid[])

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

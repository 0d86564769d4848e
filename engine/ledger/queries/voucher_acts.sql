-- name: hold_cursor
-- The cursor of the campaign whose codes begin like $1: whoever adds to its trail holds it.
select k.campaign_no, k.trail_position, k.trail_hash, statement_timestamp() as now
from campaigns c join cursors k using (campaign_no)
where c.code_prefix = left($1, 3)
for update of k

-- name: take
-- One step of one voucher, where it is still as it was seen: $3 is the step, $5 the step that made its state (null: the
-- same as before).
with moved as (
    update vouchers v set state = $4, step = $3, made_by = coalesce($5, v.made_by), is_hidden = v.is_hidden or $6
    where v.campaign_no = $1 and v.code = $2 and v.step = $3 - 1
    returning v.campaign_no, v.code
)
insert into voucher_steps (campaign_no, code, step, kind, at, offer_no, terms_version, actor, reason)
select campaign_no, code, $3, $7, $8, $9, $10, $11, $12 from moved
returning step

-- name: history
-- What was done with the voucher ($1, $2): the newest $3 steps.
select step, kind, at, merchant, store, clerk, order_no, amount, discount, until, actor, reason, by
from voucher_steps where campaign_no = $1 and code = $2
order by step desc
limit $3

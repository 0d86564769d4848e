-- name: pages
-- How many pages of its file the table of vouchers has.
select pg_relation_size('vouchers') / current_setting('block_size')::bigint as pages

-- name: expire
-- Of the vouchers on the pages from $1 on, before $2: those whose time was over $3 seconds ago become `expired`; one that
-- is locked, once its lock is over too. What somebody is just taking a step with is left to a later pass, so this waits
-- for nobody; the number of the step stays, so nobody's step fails by it.
with due as materialized (
    select v.campaign_no, v.code
    from vouchers v
    where v.ctid >= $1::tid and v.ctid < $2::tid and v.state in ('pending', 'locked')
      and v.expires_at <= statement_timestamp() - $3 * interval '1 second'
      and (v.state = 'pending' or not exists (
          select from voucher_steps m
          where m.campaign_no = v.campaign_no and m.code = v.code and m.step = v.made_by
            and m.until > statement_timestamp() - $3 * interval '1 second'))
    for update skip locked
), moved as (
    update vouchers v set state = 'expired'
    from due
    where v.campaign_no = due.campaign_no and v.code = due.code and v.state in ('pending', 'locked')
    returning 1
)
select count(*) as expired from moved

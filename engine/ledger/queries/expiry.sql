-- name: pages
-- How many pages of its file the table of vouchers has.
select pg_relation_size('vouchers') / current_setting('block_size')::bigint as pages

-- name: expire
-- Of the vouchers on the pages from $1 on, before $2: those whose time was over $3 seconds ago become `expired`, of
-- every $4 rows in the order of their claims the $5th; one that is locked, once its lock is over too. `due` is how many
-- there are of all turns. What somebody is just taking a step with is left to a later pass, so this waits for nobody;
-- the number of the step stays, so nobody's step fails by it.
with seen as materialized (
    select v.ctid as at, v.sequence
    from vouchers v
    where v.ctid >= $1::tid and v.ctid < $2::tid and v.state in ('pending', 'locked')
      and v.expires_at <= statement_timestamp() - $3 * interval '1 second'
      and (v.state = 'pending' or coalesce((  -- a value, not `exists`: which Postgres would answer with a whole table's hash
          select m.until <= statement_timestamp() - $3 * interval '1 second' from voucher_steps m
          where m.campaign_no = v.campaign_no and m.code = v.code and m.step = v.made_by), true))
), held as materialized (
    select v.ctid as at
    from vouchers v
    where v.ctid = any(array(select at from seen where sequence % $4 = $5)) and v.state in ('pending', 'locked')
    for update skip locked
), moved as (
    update vouchers v set state = 'expired'
    where v.ctid = any(array(select at from held)) and v.state in ('pending', 'locked')
    returning 1
)
select (select count(*) from moved) as expired, (select count(*) from seen) as due

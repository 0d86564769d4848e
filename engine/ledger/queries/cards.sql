-- name: of_account
-- Settled vouchers of account $1, newest first, $6 at most; those behind the place ($2 to $5), or from the first on where
-- $2 is null. Two looks a campaign, each by an index: claims whose claimant is the account, and those of an account that
-- claimed for somebody (limits counted by person).
select statement_timestamp() as now, c.id as campaign, w.id as wave,
       found.campaign_no, found.epoch, found.sequence, found.wave_no, found.offer_no, found.terms_version,
       found.claimed_at, found.account, found.code,
       v.valid_from, v.expires_at, v.state, v.step, v.is_hidden,
       m.kind as made_kind, m.at as made_at, m.merchant as made_merchant, m.store as made_store,
       m.order_no as made_order_no, m.reason as made_reason, m.until as made_until, m.step as made_step
from (
    select own.*
    from campaigns each_of cross join lateral (
        select campaign_no, epoch, sequence, wave_no, offer_no, terms_version, claimed_at, $1::text as account, code
        from claims where campaign_no = each_of.campaign_no and claimant = $1 and account is null
        union all
        select campaign_no, epoch, sequence, wave_no, offer_no, terms_version, claimed_at, account, code
        from claims where campaign_no = each_of.campaign_no and account = $1
    ) own
    where $2::timestamptz is null
       or (own.claimed_at, own.campaign_no, own.epoch, own.sequence) < ($2, $3::integer, $4::bigint, $5::bigint)
    order by own.claimed_at desc, own.campaign_no desc, own.epoch desc, own.sequence desc
    limit $6
) found
join campaigns c using (campaign_no)
join waves w using (campaign_no, wave_no)
join vouchers v using (campaign_no, code)
left join voucher_steps m on m.campaign_no = v.campaign_no and m.code = v.code and m.step = v.made_by
order by found.claimed_at desc, found.campaign_no desc, found.epoch desc, found.sequence desc

-- name: of_code
-- The settled voucher with code $1: three looks, each by a whole key.
select statement_timestamp() as now, c.id as campaign, w.id as wave,
       cl.campaign_no, cl.epoch, cl.sequence, cl.wave_no, cl.offer_no, cl.terms_version,
       cl.claimed_at, coalesce(cl.account, cl.claimant) as account, cl.code,
       v.valid_from, v.expires_at, v.state, v.step, v.is_hidden,
       m.kind as made_kind, m.at as made_at, m.merchant as made_merchant, m.store as made_store,
       m.order_no as made_order_no, m.reason as made_reason, m.until as made_until, m.step as made_step
from campaigns c
join vouchers v on v.campaign_no = c.campaign_no and v.code = $1
join claims cl on cl.campaign_no = v.campaign_no and cl.epoch = v.epoch and cl.sequence = v.sequence
join waves w on w.campaign_no = cl.campaign_no and w.wave_no = cl.wave_no
left join voucher_steps m on m.campaign_no = v.campaign_no and m.code = v.code and m.step = v.made_by
where c.code_prefix = left($1, 3)

-- name: settled_of
-- Which of the vouchers ($1 campaigns, $2 codes) are settled; one row, also where none is.
select statement_timestamp() as now,
       array(select v.code from unnest($1::integer[], $2::text[]) as asked (campaign_no, code)
             join vouchers v using (campaign_no, code)) as codes

-- name: opened
-- Campaigns that belong in the hot store and may have given claims: a wave has opened and did not close $1 ms ago.
select c.id as campaign
from campaigns c
where exists (select from waves w
              where w.campaign_no = c.campaign_no and w.opens_at <= statement_timestamp()
                and w.closes_at > statement_timestamp() - $1::bigint * interval '1 millisecond')

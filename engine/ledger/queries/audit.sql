-- name: stocks
select wave_no, offer_no, total from stocks where campaign_no = $1

-- name: claims
select wave_no, offer_no, request_no, epoch, sequence, unit, nth, terms_version,
       (extract(epoch from claimed_at) * 1000)::bigint, code, claimant, coalesce(account, claimant)
from claims where campaign_no = $1
order by epoch, sequence

-- name: repeated_codes
-- $2: the campaign's code prefix. A code of another campaign's is as bad as one given twice.
select count(*) - count(distinct code) as repeated, count(*) filter (where left(code, 3) <> $2) as foreign_codes
from claims where campaign_no = $1

-- name: claims_without_voucher
select c.epoch, c.sequence
from claims c left join vouchers v using (campaign_no, epoch, sequence, code)
where c.campaign_no = $1 and v.code is null
order by c.epoch, c.sequence
limit $2

-- name: vouchers_without_claim
select v.epoch, v.sequence
from vouchers v left join claims c using (campaign_no, epoch, sequence, code)
where v.campaign_no = $1 and c.code is null
order by v.epoch, v.sequence
limit $2

-- name: taken
-- Every redemption of a campaign, with the terms that were read for it.
select code, terms_version, discount from voucher_steps where campaign_no = $1 and kind = 'redeem' order by code, step

-- name: set_periods
-- For rehearsals: the vouchers with the codes $2 of campaign $1 are good from $3 until just before $4.
update vouchers v set valid_from = a.valid_from, expires_at = a.expires_at
from unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) as a (code, valid_from, expires_at)
where v.campaign_no = $1 and v.code = a.code

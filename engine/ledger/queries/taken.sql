-- name: taken
-- Every redemption of a campaign, with the terms that were read for it.
select code, terms_version, discount from voucher_steps where campaign_no = $1 and kind = 'redeem' order by code, step

-- name: stores
-- Every store of every campaign's file as it is now; of one that is in several, the newest apply comes last.
select s.key as store, s.value ->> 'merchant' as merchant
from campaigns c, jsonb_each(c.definition -> 'stores') as s
order by c.applied_at, c.campaign_no

-- name: promise
select c.id as campaign, o.id as offer, t.promise, t.hash
from terms t join campaigns c using (campaign_no) join offers o using (campaign_no, offer_no)
where t.campaign_no = $1 and t.offer_no = $2 and t.version = $3

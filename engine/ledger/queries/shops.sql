-- name: stores
-- Every store of every campaign's file as it is now; of one that is in several, the newest apply comes last.
select s.key as store, s.value ->> 'merchant' as merchant
from campaigns c, jsonb_each(c.definition -> 'stores') as s
order by c.applied_at, c.campaign_no

-- name: store_of_terms
-- A store that no file has any more, as the newest terms that name it have it: what was promised of it still counts.
select t.promise -> 'stores' -> $1::text ->> 'merchant' as merchant
from terms t
where t.promise -> 'stores' ? $1::text
order by t.campaign_no desc, t.offer_no desc, t.version desc
limit 1

-- name: promise
select c.id as campaign, o.id as offer, t.promise, t.hash
from terms t join campaigns c using (campaign_no) join offers o using (campaign_no, offer_no)
where t.campaign_no = $1 and t.offer_no = $2 and t.version = $3

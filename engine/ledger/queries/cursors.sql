-- name: read_cursor
select k.campaign_no, c.id as campaign, k.epoch, k.last, k.act, k.revision
from cursors k join campaigns c using (campaign_no)
where k.campaign_no = $1

-- name: all_cursors
select k.campaign_no, c.id as campaign, k.epoch, k.last, k.act, k.revision
from cursors k join campaigns c using (campaign_no)
order by k.campaign_no

-- name: next_epoch
-- An instant of this clock: no backup knows an epoch that is later.
update cursors
set epoch = greatest(epoch + 1, floor(extract(epoch from clock_timestamp()) * 1000)::bigint), last = 0, moved_at = now()
where campaign_no = $1 and epoch = $2 and last = $3
returning epoch, act, revision

-- name: raise_epoch
update cursors set epoch = $4, last = 0, moved_at = now()
where campaign_no = $1 and epoch = $2 and last = $3 and epoch < $4
returning act, revision

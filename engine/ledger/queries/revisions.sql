-- name: last_applied
select revision, applied_at from campaigns where campaign_no = $1

-- name: hold_cursor
select revision from cursors where campaign_no = $1 for update

-- name: outdo
update campaigns set revision = $2 + 1 where campaign_no = $1 and revision <= $2 returning revision

-- name: outdo_waves
-- Of the waves those that were written since the last put that is settled ($2).
update waves set revision = $3 where campaign_no = $1 and revision > $2

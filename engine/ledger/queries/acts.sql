-- name: acts
-- $2: one wave's number, or null for all. The newest, turned round by the caller.
select epoch, sequence, number, id, kind, wave_no, revision, actor, reason, decided_at, state, rules
from acts
where campaign_no = $1 and ($2::smallint is null or wave_no = $2)
order by epoch desc, sequence desc
limit $3

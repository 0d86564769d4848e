-- name: known_codes
-- Of the decisions named by $2 (epochs) and $3 (sequences): claims that are settled or kept apart.
select c.epoch, c.sequence, c.code
from claims c join unnest($2::bigint[], $3::bigint[]) as asked (epoch, sequence) using (epoch, sequence)
where c.campaign_no = $1
union all
select q.epoch, q.sequence, q.code
from quarantine q join unnest($2::bigint[], $3::bigint[]) as asked (epoch, sequence) using (epoch, sequence)
where q.campaign_no = $1

-- name: add
insert into quarantine (campaign_no, epoch, sequence, claim, wave_no, offer_no, unit, nth, request_no, claimant, account,
                        code, sqlstate, constraint_name, error)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)

-- name: held
select count(*) as held from quarantine where campaign_no = $1 and state = 'held'

-- name: held_everywhere
select c.id as campaign, count(q.epoch) as held
from campaigns c left join quarantine q on q.campaign_no = c.campaign_no and q.state = 'held'
group by c.id

-- name: kept
-- $2: the states that are wanted.
select claim, state from quarantine where campaign_no = $1 and state = any($2::text[]) order by epoch, sequence

-- name: held_by_claimant
select claim from quarantine where campaign_no = $1 and claimant = $2 and state = 'held'

-- name: held_by_account
select c.id as campaign, q.claim
from campaigns c join quarantine q using (campaign_no)
where q.account = $1 and q.state = 'held'

-- name: list
-- $1: one campaign's id, or null for all. $2: the states that are wanted.
select c.id as campaign, c.campaign_no, q.claim, q.sqlstate, q.constraint_name, q.error, q.quarantined_at, q.state, q.ended_by,
       q.ended_reason, q.ended_at
from campaigns c join quarantine q using (campaign_no)
where ($1::text is null or c.id = $1) and q.state = any($2::text[])
order by c.campaign_no, q.epoch desc, q.sequence desc
limit $3

-- name: one
select c.id as campaign, c.campaign_no, q.claim, q.sqlstate, q.constraint_name, q.error, q.quarantined_at, q.state, q.ended_by,
       q.ended_reason, q.ended_at
from campaigns c join quarantine q using (campaign_no)
where c.id = $1 and q.epoch = $2 and q.sequence = $3

-- name: hold_cursor
-- Whoever ends a quarantine waits for who settles, and for each other; it writes at the end of the trail.
select k.trail_position, k.trail_hash, clock_timestamp() as now
from cursors k join campaigns c using (campaign_no)
where c.id = $1
for update of k

-- name: end
update quarantine set state = $4, ended_by = $5, ended_reason = $6, ended_at = $7
where campaign_no = $1 and epoch = $2 and sequence = $3

-- name: settled_code
select code from claims where campaign_no = $1 and epoch = $2 and sequence = $3

-- name: wave_id
select id from waves where campaign_no = $1 and wave_no = $2

-- name: move_cursor
-- The compare-and-set: the row is only found where the last commit left it as the caller saw it. A second
-- writer waits here for the first one's commit and then finds nothing.
update cursors
set last = $4, act = greatest(act, $5), revision = greatest(revision, $6), moved_at = now()
where campaign_no = $1 and epoch = $2 and last = $3
returning act, revision, trail_position, trail_hash

-- name: insert_act
insert into acts (campaign_no, epoch, sequence, number, id, kind, wave_no, revision, actor, reason, decided_at,
                  state, rules, trail_position)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)

-- name: last_states
-- $2: wave numbers; 0 stands for the campaign, whose acts put rules.
select asked.wave_no, last.state
from unnest($2::smallint[]) as asked (wave_no) cross join lateral (
    select coalesce(a.state, a.rules) as state
    from acts a
    where a.campaign_no = $1 and a.wave_no = asked.wave_no and coalesce(a.state, a.rules) is not null
    order by a.number desc limit 1
) last

-- name: put_wave_state
update waves set state = $4, reason = $5, closed_at = $6
where campaign_no = $1 and wave_no = $2 and id = $3
returning revision

-- name: put_wave_times
update waves set round = coalesce($3, round), day = $4, opens_at = $5, closes_at = $6
where campaign_no = $1 and wave_no = $2

-- name: put_stocks
insert into stocks (campaign_no, wave_no, offer_no, total)
select $1, $2, offer_no, total from unnest($3::smallint[], $4::integer[]) as put (offer_no, total)
on conflict (campaign_no, wave_no, offer_no) do update set total = excluded.total

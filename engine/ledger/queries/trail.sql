-- name: add_entry
insert into trail (campaign_no, position, at, actor, reason, kind, subject, before, after, previous_hash, hash)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: move_end
update cursors set trail_position = $2, trail_hash = $3 where campaign_no = $1

-- name: entries
-- $2: one wave's id, or null for all; with a wave come also the applies that changed it, and stops of the whole
-- campaign. The newest, turned round by the caller.
select campaign_no, position, at, actor, reason, kind, subject, before, after, previous_hash, hash
from trail
where campaign_no = $1
  and ($2::text is null or subject = $2 or kind in ('stop', 'start') or (kind = 'apply' and
       jsonb_path_query_first(before, '$.waves[*] ? (@.id == $id)', jsonb_build_object('id', $2::text))
       is distinct from
       jsonb_path_query_first(after, '$.waves[*] ? (@.id == $id)', jsonb_build_object('id', $2::text))))
order by position desc
limit $3

-- name: chain
select campaign_no, position, at, actor, reason, kind, subject, before, after, previous_hash, hash
from trail
where campaign_no = $1
order by position

-- name: chain_end
select k.trail_position, k.trail_hash, c.definition,
       (select t.after from trail t where t.campaign_no = $1 and t.kind = 'apply' order by position desc limit 1) as applied
from cursors k join campaigns c using (campaign_no)
where k.campaign_no = $1

-- name: acts_untold
-- Acts whose entry is missing or tells something else.
select a.trail_position, a.number, t.position is null as missing
from acts a left join trail t on t.campaign_no = a.campaign_no and t.position = a.trail_position
where a.campaign_no = $1 and a.trail_position is not null
  and (t.position is null
       or (t.at, t.actor, t.reason, t.kind) <> (a.decided_at, a.actor, a.reason, a.kind)
       or t.after is distinct from coalesce(a.state, a.rules))
order by a.trail_position
limit $2

-- name: entries_without_act
select t.position
from trail t
where t.campaign_no = $1
  and t.kind not in ('apply', 'settle_quarantined', 'void_quarantined', 'invalidate_voucher', 'cancel_voucher')
  and not exists (select from acts a where a.campaign_no = $1 and a.trail_position = t.position)
order by t.position
limit $2

-- name: subject
-- Of a campaign and a wave with the same id the campaign, whose trail holds the wave's.
select campaign_no, id as campaign, null as wave, definition ->> 'timezone' as timezone
from campaigns where id = $1
union all
select w.campaign_no, c.id, w.id, c.definition ->> 'timezone'
from waves w join campaigns c using (campaign_no) where w.id = $1
limit 1

-- name: subjects
select campaign_no, id as campaign, null as wave, definition ->> 'timezone' as timezone
from campaigns order by campaign_no

-- name: offer_names
select offer_no as no, id from offers where campaign_no = $1

-- name: wave_names
select wave_no as no, id from waves where campaign_no = $1

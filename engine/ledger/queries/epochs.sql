-- name: last_of_epoch
select greatest(
    (select coalesce(max(sequence), 0) from claims where campaign_no = $1 and epoch = $2),
    (select coalesce(max(sequence), 0) from acts where campaign_no = $1 and epoch = $2),
    (select coalesce(max(sequence), 0) from quarantine where campaign_no = $1 and epoch = $2)
) as last

-- name: latest_wave_states
select distinct on (wave_no) wave_no, state
from acts
where campaign_no = $1 and state is not null
order by wave_no, number desc

-- name: stopped
select case kind when 'stop' then reason else '' end as stopped
from acts
where campaign_no = $1 and kind in ('stop', 'start')
order by number desc
limit 1

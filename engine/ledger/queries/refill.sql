-- name: hold_cursor
-- The compare-and-set of a step that leaves the cursor where it is.
update cursors set moved_at = now() where campaign_no = $1 and epoch = $2 and last = $3 returning campaign_no

-- name: end_refill
update cursors set epoch = $4, last = $5, act = greatest(act, $6), revision = greatest(revision, $7), moved_at = now()
where campaign_no = $1 and epoch = $2 and last = $3
returning act, revision, trail_position, trail_hash

-- name: missing_numbers
-- Numbers of an epoch that neither a claim nor an act has. $4: as many as are wanted, at most.
select number.sequence from generate_series(1, $3::bigint) as number (sequence)
where not exists (select from claims where campaign_no = $1 and epoch = $2 and claims.sequence = number.sequence)
  and not exists (select from acts where campaign_no = $1 and epoch = $2 and acts.sequence = number.sequence)
  and not exists (select from quarantine q where campaign_no = $1 and epoch = $2 and q.sequence = number.sequence)
order by number.sequence
limit $4

-- name: take_lease
-- Only the clock of Postgres counts. The same holder goes on under the term that it had ($4); whoever takes over gets the
-- instant in milliseconds: no ledger that went back to an earlier moment has given a higher one.
insert into leases as lease (role, holder, term, expires_at)
values ($1, $2, greatest($4, floor(extract(epoch from clock_timestamp()) * 1000)::bigint),
        clock_timestamp() + $3 * interval '1 millisecond')
on conflict (role) do update
set holder = excluded.holder,
    term = case when lease.holder = excluded.holder then greatest(lease.term, $4)
                else greatest(lease.term + 1, excluded.term) end,
    expires_at = clock_timestamp() + $3 * interval '1 millisecond'
where lease.holder = excluded.holder or lease.expires_at <= clock_timestamp()
returning term

-- name: free_in
select extract(epoch from expires_at - clock_timestamp())::double precision as seconds from leases where role = $1

-- name: release_lease
-- The row stays, so that terms go on rising.
update leases set expires_at = clock_timestamp()
where role = $1 and holder = $2 and term = $3 and expires_at > clock_timestamp()

-- name: outdo
-- A store has seen terms of a future that this ledger has lost. Only who holds the role by this ledger goes above them.
update leases set term = greatest(term, $4) + 1
where role = $1 and holder = $2 and term = $3 and expires_at > clock_timestamp()
returning term

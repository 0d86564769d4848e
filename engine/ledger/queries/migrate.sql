-- name: lock_migrations
-- Bound to the transaction, so it is let go by any end of it. The number is the ASCII of "dropwave".
select pg_advisory_xact_lock(7237970079967704677)

-- name: make_migrations
create table if not exists migrations (
    name        text primary key,
    hash        text not null,          -- SHA-256 of the file, hex
    applied_at  timestamptz not null default now()
)

-- name: has_migrations
select to_regclass('migrations') is not null as present

-- name: applied_migrations
select name, hash from migrations order by name

-- name: keep_migration
insert into migrations (name, hash) values ($1, $2)

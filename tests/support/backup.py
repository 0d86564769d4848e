"""A backup of the whole ledger, and going back to it: what a restore does, without its minutes."""

from engine.ledger.database import Ledger

_TABLES = """
select c.relname as name from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
"""
_COLUMNS = """
select string_agg(attname, ', ' order by attnum) as names from pg_attribute
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = ''
"""
"""What is worked out from other columns is worked out again."""


async def back_up(ledger: Ledger) -> None:
    """Keep all rows of all tables as they are now, in the place of an earlier backup."""
    await ledger.fetch("drop schema if exists backup cascade")
    await ledger.fetch("create schema backup")
    for row in await ledger.fetch(_TABLES):
        await ledger.fetch(f"create table backup.{row['name']} as table public.{row['name']}")


async def go_back(ledger: Ledger) -> None:
    """Every row as the backup has it. Leases are over by then."""
    names = [row["name"] for row in await ledger.fetch(_TABLES)]
    async with ledger.transaction() as connection:
        await connection.execute(
            "set local session_replication_role = replica"
        )  # no keys, no triggers: a restore has none
        await connection.execute("alter table trail disable trigger all")
        await connection.execute(f"truncate {', '.join(names)} cascade")
        await connection.execute("alter table trail enable trigger all")
        await connection.execute("alter table trail enable always trigger trail_is_only_added_to")
        for name in names:
            columns = await connection.fetchval(_COLUMNS, name)
            await connection.execute(f"insert into {name} ({columns}) select {columns} from backup.{name}")
        await connection.execute("update leases set expires_at = clock_timestamp()")

"""A campaign that many have claimed in already, put into the ledger at once.

Ten million claims take minutes when they are claimed one by one and settled. Here Postgres makes the rows itself, with
its indexes left out meanwhile; what a Redis that has lost everything then gets is what the steward's recovery makes of
them. The rows are what the writer would have written, but for the check character of codes, which nobody looks at.
"""

import asyncio
from typing import Any, Final

import asyncpg

from engine.domain.campaign import Catalogue, CatalogueWave
from loadtests.bench.sides import SCATTERED_SQL

_FILL_S: Final = 600.0
_MEMORY: Final = "512MB"
"""For building one index; two are built at a time."""
_ROWS: Final = {
    "claims": f"""
        insert into claims (campaign_no, epoch, sequence, wave_no, offer_no, unit, nth, request_no, terms_version,
                            claimed_at, claimant, code)
        select $1::int, $2::bigint, $3::bigint + n, $4::smallint, 1, n, 1, 1, 1, now(), {SCATTERED_SQL},
               $5::text || upper(substr(md5(n::text), 1, 12)) || '0'
        from generate_series(1, $6::int) as n""",  # noqa: S608 - both texts are ours
    "vouchers": """
        insert into vouchers (campaign_no, code, epoch, sequence, valid_from, expires_at)
        select campaign_no, $1::text || upper(substr(md5(n::text), 1, 12)) || '0', $3, $4::bigint + n, now(),
               now() + interval '7 days'
        from generate_series(1, $5::int) as n, (select $2::int as campaign_no) as filled""",
}
_KEYS: Final = """
    select conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
    where conrelid = $1::text::regclass and contype in ('p', 'u') order by contype, conname"""
_CURSOR: Final = "update cursors set last = last + $2 where campaign_no = $1"


async def fill_ledger(url: str, catalogue: Catalogue, wave: CatalogueWave, claims: int) -> None:
    """So many claims of accounts `f…` (`sides.account`) in the first offer. Nothing of the engine may run meanwhile."""
    number, prefix = catalogue.campaign_no, catalogue.code_prefix
    connection = await asyncpg.connect(url)
    try:
        cursor = await connection.fetchrow("select epoch, last from cursors where campaign_no = $1", number)
        assert cursor is not None, "the campaign was applied"
        place = cursor["epoch"], cursor["last"]
        await asyncio.gather(
            _fill(url, "claims", (number, *place, wave.no, prefix, claims)),
            _fill(url, "vouchers", (prefix, number, *place, claims)),
        )
        await connection.execute(_CURSOR, number, claims)
    finally:
        await connection.close()


async def _fill(url: str, table: str, arguments: tuple[Any, ...]) -> None:
    """One table: its keys are dropped, and built when the rows are there."""
    connection = await asyncpg.connect(url, timeout=_FILL_S, command_timeout=_FILL_S)
    try:
        await connection.execute(f"set maintenance_work_mem = '{_MEMORY}'; set synchronous_commit = off")
        keys = await connection.fetch(_KEYS, table)
        for key in keys:
            await connection.execute(f"alter table {table} drop constraint {key['name']}")
        await connection.execute(_ROWS[table], *arguments)
        for key in keys:
            await connection.execute(f"alter table {table} add constraint {key['name']} {key['definition']}")
        await connection.execute(f"vacuum (analyze) {table}")
    finally:
        await connection.close()

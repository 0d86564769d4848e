"""A campaign that many have claimed in already, put into the ledger at once.

Ten million claims take minutes when they are claimed one by one and settled. Here Postgres makes the rows itself, with
its indexes left out meanwhile; what a Redis that has lost everything then gets is what the steward's recovery makes of
them. The rows are what the writer would have written.
"""

import asyncio
import hashlib
from typing import Any, Final

import asyncpg

from engine.domain.campaign import Catalogue, CatalogueWave
from engine.domain.codes import ALPHABET, PREFIX_LENGTH, check_value
from loadtests.bench.sides import SCATTERED_SQL

_FILL_S: Final = 600.0
_MEMORY: Final = "512MB"
"""For building one index; two are built at a time."""
_DIGITS: Final = 12
_SUM_SQL: Final = " + ".join(
    f"{PREFIX_LENGTH + 1 + place} * (drawn >> {4 * (_DIGITS - 1 - place)} & 15)" for place in range(_DIGITS)
)
_CODES_SQL: Final = f"""
    (select n, prefix || upper(lpad(to_hex(drawn >> 4), {_DIGITS - 1}, '0'))
               || substr('{ALPHABET}', (drawn & 15)::int + has_none::int + 1, 1)
               || substr('{ALPHABET}', (sum - 22 * has_none::int)::int + 1, 1) as code
     from (select n, prefix, drawn, (ahead + {_SUM_SQL}) %% 37 as sum,
                  (ahead + {_SUM_SQL}) %% 37 >= 32 as has_none
           from generate_series(1, %s) as n, (select %s as prefix, %s as ahead) as campaign,
                lateral (select ('x' || substr(md5(n::text), 1, {_DIGITS}))::bit(48)::bigint as drawn) as each
          ) as summed
    ) as codes"""  # noqa: S608 - all texts are ours
"""`filled_code`, as Postgres says it, of a count of them, the prefix, and what that adds to the check value."""
_ROWS: Final = {
    "claims": f"""
        insert into claims (campaign_no, epoch, sequence, wave_no, offer_no, unit, nth, request_no, terms_version,
                            claimed_at, claimant, code)
        select $1::int, $2::bigint, $3::bigint + n, $4::smallint, 1, n, 1, 1, 1, now(), {SCATTERED_SQL}, code
        from {_CODES_SQL % ("$6::int", "$5::text", "$7::int")}""",  # noqa: S608 - all texts are ours
    "vouchers": f"""
        insert into vouchers (campaign_no, code, epoch, sequence, valid_from, expires_at)
        select $2::int, code, $3, $4::bigint + n, now(), now() + interval '7 days'
        from {_CODES_SQL % ("$5::int", "$1::text", "$6::int")}""",  # noqa: S608 - likewise
}
_KEYS: Final = """
    select conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
    where conrelid = $1::text::regclass and contype in ('p', 'u') order by contype, conname"""
_CURSOR: Final = "update cursors set last = last + $2 where campaign_no = $1"


def filled_code(prefix: str, number: int) -> str:
    """The code of the `number`th claim (from 1) that was filled in: twelve digits of a hash, and the check character.

    Where the check value has no character, the twelfth digit is the next one, which adds 15 to the value.
    """
    drawn = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()[:_DIGITS].upper()
    body = prefix + drawn
    if check_value(body) >= len(ALPHABET):
        body = body[:-1] + ALPHABET[ALPHABET.index(body[-1]) + 1]
    return body + ALPHABET[check_value(body)]


async def fill_ledger(url: str, catalogue: Catalogue, wave: CatalogueWave, claims: int) -> None:
    """So many claims of accounts `f…` (`sides.account`) in the first offer. Nothing of the engine may run meanwhile."""
    number, prefix = catalogue.campaign_no, catalogue.code_prefix
    ahead = check_value(prefix)
    connection = await asyncpg.connect(url)
    try:
        cursor = await connection.fetchrow("select epoch, last from cursors where campaign_no = $1", number)
        assert cursor is not None, "the campaign was applied"
        place = cursor["epoch"], cursor["last"]
        await asyncio.gather(
            _fill(url, "claims", (number, *place, wave.no, prefix, claims, ahead)),
            _fill(url, "vouchers", (prefix, number, *place, claims, ahead)),
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

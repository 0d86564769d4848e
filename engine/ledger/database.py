"""The connections of one process to Postgres, and what a failed statement means.

Nothing here depends on a session: no SET, LISTEN or advisory lock outlives its transaction, so a
PgBouncer that pools transactions may stand between (with `ledger_statement_cache_max` 0). Nothing is
sent twice either: what may be repeated is repeated by whoever knows that it may.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import structlog

from engine.errors import AckImpossible, LedgerError, LedgerRefused, LedgerUnavailable, LedgerUndone, SettingsError
from engine.ledger.queries import load_queries
from engine.settings import Settings
from engine.telemetry import LEDGER_FAILURES

log = structlog.get_logger(__name__)

_SQL = load_queries("database")

NEEDED_FOR_SETTLED = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_write", "remote_apply", "local"),
}
"""Without these a commit can be answered before it would survive a loss of power (docs/acknowledgement.md).

Of `synchronous_commit` only `off` is too little: all others wait for the disk of the server itself, and differ in what
they wait for on its standbys (https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT).
"""

_KINDS = {LedgerUnavailable: "away", LedgerUndone: "undone", LedgerRefused: "refused"}
_DATA = ("22", "23")
_AWAY = ("08", "25", "28", "3D", "40", "53", "55", "57", "58", "XX")
"""SQLSTATE classes of a server that cannot do it now: connection, transaction ended, login, database,
deadlock, resources, lock, shutdown or time-out, disk, internal."""
_UNDONE = ("40001", "40P01")
"""SQLSTATEs of what Postgres has rolled back before it said so: a serialization failure, a deadlock's victim. Of class
40 not 40003, which says that nobody knows (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""


class Ledger:
    """One Postgres, as this process reaches it."""

    def __init__(self, pool: Any, settings: Settings) -> None:
        self._pool = pool
        self._ack = settings.ack
        self._wait_s = settings.ledger_timeout_ms / 1000
        # One round trip: the transaction and its bounds. Postgres ends the session of a process that
        # stopped in mid-transaction, so that its locks do not outlive it by more than the bound.
        bounds = (
            f"set local statement_timeout = {settings.ledger_timeout_ms}; "
            f"set local idle_in_transaction_session_timeout = {settings.ledger_timeout_ms}"
        )
        self._begin = f"begin isolation level read committed; {bounds}"
        self._begin_snapshot = f"begin isolation level repeatable read read only; {bounds}"

    @classmethod
    async def connect(cls, url: str, settings: Settings, *, at_once: bool = True) -> "Ledger":
        """Connect, and check that the server can keep `ack`. Raises LedgerUnavailable, AckImpossible, SettingsError.

        With `at_once` False the first statement connects, and raises those.
        """

        async def greet(connection: Any) -> None:
            await _check_ack(connection, settings)

        with failures():
            pool = await asyncpg.create_pool(
                url,
                min_size=int(at_once),
                max_size=settings.ledger_connections_max,
                timeout=settings.ledger_connect_timeout_ms / 1000,
                command_timeout=settings.ledger_timeout_ms / 1000,
                statement_cache_size=settings.ledger_statement_cache_max,
                init=greet,
                reset=_nothing_to_reset,
                server_settings={"application_name": "dropwave"},
            )
        return cls(pool, settings)

    async def close(self) -> None:
        """Close every connection; what is still running is given the time of one statement. Safe to call twice."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._pool.close()
        except TimeoutError:
            log.warning("ledger connections were cut while in use")
            self._pool.terminate()

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """The rows of one statement, by itself. Raises LedgerUnavailable, LedgerRefused or LedgerError."""
        async with self._connection() as connection:
            rows: list[Any] = await connection.fetch(query, *arguments)
            return rows

    async def fetch_row(self, query: str, *arguments: Any) -> Any | None:
        """The first row of one statement, or None. Raises as `fetch` does."""
        rows = await self.fetch(query, *arguments)
        return rows[0] if rows else None

    async def broken_promise(self) -> str:
        """Why the server as it is set now cannot keep `ack`; empty where it can. Raises LedgerUnavailable."""
        if self._ack != "settled":
            return ""
        try:
            return _broken_promise(await self.fetch(_SQL["server_settings"], list(NEEDED_FOR_SETTLED)))
        except LedgerUnavailable as error:
            if isinstance(error.__cause__, AckImpossible):  # a new connection was made, and has found it out
                return str(error)
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection in a transaction, committed at the end of the block, rolled back when the block raises.

        LedgerUnavailable out of here can mean that the commit was done: read again before doing it again.
        """
        async with self._within(self._begin) as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Any]:
        """A connection whose reads all see the ledger as it was at the first of them."""
        async with self._within(self._begin_snapshot) as connection:
            yield connection

    @asynccontextmanager
    async def _within(self, begin: str) -> AsyncIterator[Any]:
        async with self._connection() as connection:
            await connection.execute(begin)
            try:
                yield connection
            except BaseException:
                await _roll_back(connection)
                raise
            if await connection.execute("commit") != "COMMIT":
                raise LedgerError("a statement of the transaction had failed: nothing was committed")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        with failures():
            try:
                async with self._pool.acquire(timeout=self._wait_s) as connection:
                    yield connection
            except AckImpossible as error:  # said by `_check_ack` on a new connection: the server's settings changed
                log.error("postgres settings cannot keep ack", wrong=str(error))
                raise LedgerUnavailable(str(error)) from error


@contextmanager
def failures() -> Iterator[None]:
    """Turn what asyncpg and the network raise into the error tree.

    The parts of Postgres's message that quote values (DETAIL) are left out: they name claimants and codes.
    """
    try:
        yield
    except asyncpg.exceptions.ClientConfigurationError as error:
        raise SettingsError(f"database_url: {error}") from error
    except asyncpg.PostgresError as error:
        failure = _failure_of(error)
        LEDGER_FAILURES.labels(_KINDS.get(type(failure), "error")).inc()
        raise failure from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        LEDGER_FAILURES.labels("away").inc()
        raise LedgerUnavailable(f"Postgres is not reachable: {error or type(error).__name__}") from error


def _failure_of(error: Any) -> LedgerError:
    state, constraint = error.sqlstate or "", error.constraint_name or ""
    error.detail = None
    # asyncpg says 22 by itself, without a severity, where it could not encode a value; its message quotes it
    said = "a value does not fit its column" if state.startswith("22") and not error.severity else error.args[0]
    text = f"{said} (SQLSTATE {state})"
    if state == "23514" and not constraint:  # no partition for the row: a lack of ours, not of the data
        return LedgerUnavailable(f"Postgres cannot do it now: {text}")
    if state.startswith(_DATA):
        return LedgerRefused(f"Postgres refused the data: {text}", state, constraint)
    if state in _UNDONE:
        return LedgerUndone(f"Postgres has undone it for the sake of others: {text}")
    if state.startswith(_AWAY):
        return LedgerUnavailable(f"Postgres cannot do it now: {text}")
    return LedgerError(f"Postgres answered with an error: {text}")


async def _roll_back(connection: Any) -> None:
    """Roll back after a failure; a connection that cannot even do that is cut, which rolls back too."""
    if connection.is_closed():
        return
    try:
        await connection.execute("rollback")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        connection.terminate()


async def _nothing_to_reset(_: Any) -> None:
    """No session state is ever left behind, so a connection goes back to the pool without a round trip."""


async def _check_ack(connection: Any, settings: Settings) -> None:
    """Runs on each new connection. Raises AckImpossible: setting, value found, value needed."""
    if settings.ack != "settled":
        return
    broken = _broken_promise(await connection.fetch(_SQL["server_settings"], list(NEEDED_FOR_SETTLED)))
    if broken:
        raise AckImpossible(broken)


def _broken_promise(rows: Sequence[Any]) -> str:
    """As this session has the settings: those of its role and its database included."""
    found = {row["name"]: row["setting"] for row in rows}
    wrong = [
        f"{name} is {found.get(name, 'unknown')}, needs {' or '.join(values)}"
        for name, values in NEEDED_FOR_SETTLED.items()
        if found.get(name) not in values
    ]
    return "Postgres cannot keep ack=settled: " + "; ".join(wrong) if wrong else ""

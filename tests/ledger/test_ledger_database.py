"""Connections: what a failure means, and that the ledger comes back by itself."""

import asyncio
import socket
import time

import asyncpg
import pytest
from msgspec.structs import replace

from engine.errors import AckImpossible, LedgerError, LedgerRefused, LedgerUnavailable, SettingsError
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger, failures
from engine.ledger.settlement import settle
from engine.settings import Settings
from tests.ledger.samples import campaign, claims, rows_of, vouchers_of


async def test_nobody_there(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        with pytest.raises(LedgerUnavailable):
            await Ledger.connect(f"postgresql://u:secret-word@127.0.0.1:{taken.getsockname()[1]}/x", settings)


async def test_somebody_who_does_not_answer(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        before_s = time.monotonic()
        impatient = replace(settings, ledger_connect_timeout_ms=200)
        with pytest.raises(LedgerUnavailable):
            await Ledger.connect(f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/x?sslmode=disable", impatient)
        assert time.monotonic() - before_s < 5


async def test_an_address_that_is_none(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="database_url"):
        await Ledger.connect("mysql://u@127.0.0.1/x", settings)


async def test_a_wrong_password_or_database(database_url: str, settings: Settings) -> None:
    with pytest.raises(LedgerUnavailable) as refused:
        await Ledger.connect(database_url.replace("dropwave:", "dropwave:not-"), settings)
    assert "not-" not in str(refused.value)
    with pytest.raises(LedgerUnavailable):
        await Ledger.connect(database_url + "_not", settings)


@pytest.mark.loops
async def test_a_statement_that_takes_too_long(database_url: str, settings: Settings) -> None:
    impatient = await Ledger.connect(database_url, replace(settings, ledger_timeout_ms=200, ledger_connections_max=1))
    with pytest.raises(LedgerUnavailable):
        await impatient.fetch("select pg_sleep(60)")
    with pytest.raises(LedgerUnavailable):
        async with impatient.transaction() as connection:
            await connection.fetch("select pg_sleep(60)")
    assert (await impatient.fetch("select 1 as one"))[0]["one"] == 1, "the only connection is of use again"
    await impatient.close()


async def test_no_connection_left(database_url: str, settings: Settings) -> None:
    narrow = await Ledger.connect(database_url, replace(settings, ledger_timeout_ms=200, ledger_connections_max=1))
    async with narrow.transaction() as connection:
        waiting = asyncio.create_task(narrow.fetch("select 1"))
        while not waiting.done():  # and is not idle meanwhile, which has a bound of its own
            await connection.fetch("select pg_sleep(0.01)")
    with pytest.raises(LedgerUnavailable):
        await waiting
    await narrow.close()


@pytest.mark.loops
async def test_sessions_that_were_ended_are_replaced(ledger: Ledger, database_url: str) -> None:
    await ledger.fetch("select 1")
    others = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = $1"
    await rows_of(database_url, others, database_url.rpartition("/")[2])
    try:
        await ledger.fetch("select 1")
    except LedgerUnavailable:  # it had not noticed yet; the next one has
        await ledger.fetch("select 1")


TERMS_OF_NOTHING = """insert into terms values (9, 1, 1, 'h', '{"offer": {"stores": []}, "stores": {}}')"""


@pytest.mark.parametrize(
    ("statement", "failure", "constraint"),
    [
        (TERMS_OF_NOTHING, LedgerRefused, "terms_campaign_no_offer_no_fkey"),
        ("insert into waves values (0, 0, 'w', '', now(), now(), now(), 1)", LedgerRefused, "waves_check"),
        ("insert into campaigns (id) values ('x')", LedgerRefused, ""),
        ("select 1 / 0", LedgerRefused, ""),
        ("select * from nothing_of_that_name", LedgerError, ""),
        ("insert into slices values (1)", LedgerUnavailable, ""),
    ],
)
async def test_what_an_error_means(
    statement: str, failure: type[LedgerError], constraint: str, ledger: Ledger, database_url: str
) -> None:
    await rows_of(database_url, "create table slices (a integer) partition by list (a)")
    with pytest.raises(LedgerError) as failed:
        await ledger.fetch(statement)
    assert type(failed.value) is failure
    if isinstance(failed.value, LedgerRefused):
        assert failed.value.constraint.startswith(constraint)


async def test_values_stay_out_of_messages(ledger: Ledger) -> None:
    with pytest.raises(LedgerRefused) as refused:
        await ledger.fetch("select $1::integer", "claimant-7")
    assert "claimant-7" not in str(refused.value)
    with pytest.raises(LedgerRefused) as refused:
        await ledger.fetch("insert into leases values ($1, 'h', 1, now()), ($1, 'h', 1, now())", "claimant-7")
    assert "claimant-7" not in str(refused.value)
    assert "claimant-7" not in str(refused.value.__cause__)


async def test_a_transaction_that_failed_is_not_called_committed(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="nothing was committed"):  # noqa: PT012 - the block is the transaction
        async with ledger.transaction() as connection:
            with pytest.raises(asyncpg.PostgresError):
                await connection.fetch("select 1 / 0")


async def test_a_block_that_raises_leaves_nothing(ledger: Ledger, database_url: str) -> None:
    with pytest.raises(KeyError):  # noqa: PT012 - the block is the transaction
        async with ledger.transaction() as connection:
            await connection.execute("insert into leases values ('r', 'h', 1, now())")
            raise KeyError("mine")
    assert await rows_of(database_url, "select * from leases") == []


async def test_without_prepared_statements(database_url: str, settings: Settings) -> None:
    """As behind a PgBouncer that pools transactions."""
    plain = await Ledger.connect(database_url, replace(settings, ledger_statement_cache_max=0))
    catalogue = (await apply_campaign(plain, campaign(), "ann")).catalogue
    cursor = await read_cursor(plain, catalogue.campaign_no)
    batch = claims(1, 3)
    assert (await settle(plain, cursor, 3, batch, vouchers_of(catalogue, batch), [])).last == 3
    await plain.close()
    await plain.close()


@pytest.mark.parametrize("value", ["off", "local"])
async def test_an_ack_that_postgres_cannot_keep_is_refused(value: str, database_url: str, settings: Settings) -> None:
    settled = replace(settings, ack="settled")
    ledger = await Ledger.connect(database_url, settled)
    name = database_url.rpartition("/")[2]
    await rows_of(database_url, f"alter database {name} set synchronous_commit = {value}")
    if value == "off":
        with pytest.raises(AckImpossible, match="synchronous_commit is off, needs on"):
            await Ledger.connect(database_url, settled)
        others = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = $1"
        await rows_of(database_url, others, name)
        for _ in range(2):  # the first may be told of the session that ended
            with pytest.raises(LedgerUnavailable):
                await ledger.fetch("select 1")
    logged = await Ledger.connect(database_url, settings)
    await logged.close()
    await ledger.close()


async def test_what_the_network_raises() -> None:
    for raised in (ConnectionResetError(), TimeoutError(), asyncpg.InterfaceError("connection is closed")):
        with pytest.raises(LedgerUnavailable), failures():
            raise raised

"""Clients that go away: nothing is done for them any more, nothing of them stays, nobody logs it."""

import asyncio
import gc

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from engine.gateway.connection import Connection
from engine.settings import Settings
from tests.gateway.drop import Drop, silent_store
from tests.gateway.raw import claim_request, connected_to
from tests.support.waiting import wait_until

CROWD = 2_000
TURNS = 4
"""They come and go in this many turns: so many descriptors any machine has."""


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return replace(
        settings,
        redis_url=redis_url,
        database_url=database_url,
        user_requests_per_second=0,
        claim_calls_max=1,  # what comes after the first waits in the queue
        redis_timeout_ms=20_000,  # a store that is silent for a while is waited for
        claim_wait_max_ms=20_000,
        claim_decide_ms=25_000,
        claim_deadline_ms=30_000,
        drain_ms=30_000,
    )


def figure(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def batches_sent() -> float:
    return figure("dropwave_claim_batch_claims_count")


async def claims_made(drop: Drop) -> int:
    for _ in range(2):  # the first may join a reading that had begun before the last claim
        await drop.board.refresh()
    live = drop.live("one-open")
    return sum(live.wave.stock.values()) - sum(live.left.values())


@pytest.mark.loops
async def test_a_claim_whose_client_goes_before_its_turn_is_never_sent(drop: Drop) -> None:
    before = batches_sent()
    async with connected_to(drop.port) as first:
        async with silent_store(drop):
            first.send(claim_request(drop.token("first"), "one-open", {"offer": "a"}))
            await wait_until(lambda: batches_sent() > before)
            for nth in range(3):
                async with connected_to(drop.port) as connection:
                    connection.send(claim_request(drop.token(f"gone-{nth}"), "one-open", {"offer": "a"}))
                    await wait_until(lambda: drop.desks.waiting == 1)
                await wait_until(lambda: drop.desks.waiting == 0)
        assert (await first.response()).status == 201
    assert await claims_made(drop) == 1


async def test_what_was_decided_stands_though_nobody_heard_it(drop: Drop) -> None:
    before = batches_sent()
    async with silent_store(drop):
        async with connected_to(drop.port) as connection:
            connection.send(claim_request(drop.token(), "one-open", {"offer": "a"}))
            await wait_until(lambda: batches_sent() > before)
        await wait_until(lambda: drop.gateway.load.in_flight == 0, what="the request to end with its client")
    again = await drop.claim("one-open", {"offer": "a"})
    assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true")


async def test_a_client_that_goes_in_the_middle_of_its_request_has_asked_for_nothing(
    drop: Drop, capsys: pytest.CaptureFixture[str]
) -> None:
    request = claim_request(drop.token(), "one-open", {"offer": "a"})
    for end in (-3, 30, request.index(b"\r\n\r\n") + 4):
        async with connected_to(drop.port) as connection:
            connection.send(request[:end])
            await connection.writer.drain()
            await wait_until(lambda: len(drop.gateway.connections) == 1)
        await wait_until(lambda: len(drop.gateway.connections) == 0)
    assert await claims_made(drop) == 0
    assert complaints(capsys) == []


async def test_thousands_that_vanish_leave_nothing_behind(
    drop: Drop, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """While the store is silent: every claim but one waits in the queue when its client goes."""
    capsys.readouterr()
    tasks, connections = tasks_but_pauses(), connection_objects()
    before, abandoned = batches_sent(), figure("dropwave_claims_abandoned_total", stage="queue")
    async with silent_store(drop):
        async with connected_to(drop.port) as first:
            first.send(claim_request(drop.token("first"), "one-open", {"offer": "a"}))
            await wait_until(lambda: batches_sent() > before)
            for turn in range(TURNS):
                crowd = await asyncio.gather(
                    *(asyncio.open_connection("127.0.0.1", drop.port) for _ in range(CROWD // TURNS))
                )
                for nth, (_, writer) in enumerate(crowd):
                    writer.write(claim_request(drop.token(f"gone-{turn}-{nth}"), "one-open", {"offer": "a"}))
                await wait_until(lambda: drop.desks.waiting == CROWD // TURNS)
                for _, writer in crowd:
                    writer.close()
                await wait_until(lambda: drop.desks.waiting == 0)
        await wait_until(lambda: len(drop.gateway.connections) == drop.gateway.load.in_flight == 0)
        await wait_until(lambda: tasks_but_pauses() <= tasks, what="the tasks of the crowd to end")
        del crowd
        await wait_until(lambda: connection_objects() <= connections, what="the last connection to be let go")
    assert figure("dropwave_claims_abandoned_total", stage="queue") - abandoned == CROWD
    assert (await drop.claim("one-open", {"offer": "a"}, drop.token("honest"))).status == 201
    assert await claims_made(drop) == 2
    assert complaints(capsys) == []
    # An exporter of traces of an earlier test may still be trying, in a thread of its own.
    assert [record for record in caplog.records if not record.name.startswith("opentelemetry.")] == []


def complaints(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Warnings and errors in the log, but for stores that are late: a busy machine has those whatever clients do."""
    told = capsys.readouterr()
    complaining = [line for line in (told.out + told.err).splitlines() if "[error" in line or "[warning" in line]
    return [line for line in complaining if "the ledger cannot be used" not in line]


def tasks_but_pauses() -> int:
    """A loop has one task more while it pauses: those come and go, whatever clients do."""
    return sum("Event.wait" not in str(task.get_coro()) for task in asyncio.all_tasks())


def connection_objects() -> int:
    gc.collect()
    return sum(isinstance(each, Connection) for each in gc.get_objects())

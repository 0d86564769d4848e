"""The claim lane beside what goes wrong."""

import contextlib
import gc
import sys
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from engine.gateway.garbage import MADE_MAX, Garbage
from engine.gateway.lane.connection import LaneConnection
from engine.gateway.lane.lane import Lane
from engine.gateway.lane.plain import Plain
from engine.settings import Settings
from engine.telemetry.logs import configure_logging
from tests.gateway.drop import Drop, running_gateway, silent_store
from tests.gateway.raw import claim_request, connected_to
from tests.support.waiting import wait_until

CLIENTS = 5
A = {"offer": "a"}


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return replace(settings, redis_url=redis_url, database_url=database_url, access_log="all", claim_lane=True)


class FullDisk:
    """What stderr is when it is a file there."""

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False


async def test_a_log_that_cannot_be_written_costs_nobody_an_answer(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the claims of one batch, and not those that come to the same desk later."""
    monkeypatch.setattr(sys, "stderr", FullDisk())
    configure_logging("json", "info", "gateway")
    lost = REGISTRY.get_sample_value("dropwave_log_lines_lost_total") or 0.0
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected_to(drop.port)) for _ in range(CLIENTS)]
        async with silent_store(drop):
            for nth, client in enumerate(clients):
                client.send(claim_request(drop.token(f"u{nth}"), "one-open", A))
            await wait_until(lambda: drop.gateway.load.in_flight == CLIENTS)
        assert [(await client.response()).status for client in clients] == [201] * CLIENTS
        clients[0].send(claim_request(drop.token("u0"), "one-open", A))
        assert (await clients[0].response()).status == 200
    assert (REGISTRY.get_sample_value("dropwave_log_lines_lost_total") or 0.0) >= lost + CLIENTS + 1


async def test_who_is_turned_away_claims_nothing(drop: Drop) -> None:
    """Its request may be on the way already; the answer to the connection is all the answer that it gets."""
    async with running_gateway(replace(drop.settings, connections_per_address_max=1), drop.stores) as small:
        await wait_until(lambda: small.board.ready and len(small.board.waves()) == len(drop.board.waves()))
        async with connected_to(small.port), connected_to(small.port) as second:
            second.send(claim_request(drop.token("second"), "one-open", A))
            assert (await second.response()).code == "too_many_requests"
            assert await second.ended()
    assert (await drop.claim("one-open", A, drop.token("second"))).status == 201, "nothing was claimed before"


async def test_a_request_that_fails_takes_no_other_of_its_round_with_it(
    drop: Drop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    take = Lane.take

    def fail(lane: Lane, asker: Any, plain: Plain) -> bool:
        if plain[0].heading.request_id == "doomed":
            raise RuntimeError("a mistake of ours")
        return take(lane, asker, plain)

    monkeypatch.setattr(Lane, "take", fail)
    async with connected_to(drop.port) as doomed, connected_to(drop.port) as other:
        doomed.send(claim_request(drop.token("doomed"), "one-open", A, extra="X-Request-Id: doomed\r\n"))
        other.send(claim_request(drop.token("other"), "one-open", A))
        assert (await other.response()).status == 201
        assert await doomed.ended(5.0), "at once, and not when its time is up"
    assert "a connection failed" in caplog.text


@pytest.mark.parametrize("first", ["unknown", "one-open"])
async def test_what_comes_in_the_round_of_a_request_is_answered_behind_it(
    drop: Drop, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Whether the lane takes that request or not."""
    receive = LaneConnection.data_received

    def in_pieces(connection: LaneConnection, data: bytes) -> None:
        for piece in data.split(b"|"):
            receive(connection, piece)

    monkeypatch.setattr(LaneConnection, "data_received", in_pieces)
    async with connected_to(drop.port) as client:
        second = claim_request(drop.token("u2"), "one-open", A)
        client.send(claim_request(drop.token("u1"), first, A) + b"|" + second[:-4] + b"|" + second[-4:])
        assert [(await client.response()).status for _ in range(2)] == [404 if first == "unknown" else 201, 201]


async def test_who_is_cut_in_the_round_of_a_request_claims_nothing(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    receive = LaneConnection.data_received

    def cut(connection: LaneConnection, data: bytes) -> None:
        receive(connection, data)
        assert connection._watch.transport is not None, "it is open: data came"
        connection._watch.transport.abort()

    take = Lane.take
    taken: list[Plain] = []

    def note(lane: Lane, asker: Any, plain: Plain) -> bool:
        taken.append(plain)
        return take(lane, asker, plain)

    with monkeypatch.context() as patch:
        patch.setattr(LaneConnection, "data_received", cut)
        patch.setattr(Lane, "take", note)
        async with connected_to(drop.port) as client:
            client.send(claim_request(drop.token("u1"), "one-open", A))
            assert await client.ended()
    assert taken == [], "the lane is not asked for it"
    await wait_until(lambda: len(drop.gateway.connections) == 0)
    assert drop.gateway.load.in_flight == 0
    assert (await drop.claim("one-open", A, drop.token("u1"))).status == 201, "nothing was claimed before"


async def test_the_collector_is_left_as_it_was_found() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    garbage = Garbage()
    await garbage.start()
    await garbage.start()
    assert gc.get_threshold() == (MADE_MAX, *before[1:])
    assert gc.get_freeze_count() > frozen
    await garbage.stop()
    await garbage.stop()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)

"""The claim lane beside what goes wrong."""

import contextlib
import sys

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

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

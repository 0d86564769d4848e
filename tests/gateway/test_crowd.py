"""More clients and more requests than there is place for."""

import asyncio
import contextlib
import json
import resource
import socket
import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from engine.gateway import connections
from engine.gateway.descriptors import allowed_connections
from engine.gateway.load import Load
from engine.gateway.refusals import Problem, refuse
from engine.settings import Settings
from tests.gateway.drop import Drop, running_gateway, silent_store
from tests.gateway.raw import Raw, claim_request, connected_to
from tests.support.waiting import wait_until

PLACES = 8
TIME = b"GET /v1/time HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return replace(
        settings,
        redis_url=redis_url,
        database_url=database_url,
        connections_max=PLACES,
        requests_in_flight_max=2,
        redis_timeout_ms=20_000,  # a store that is silent for a while is waited for
        claim_wait_max_ms=20_000,
        claim_decide_ms=25_000,
        claim_deadline_ms=30_000,
        drain_ms=30_000,
        user_requests_per_second=0,
    )


def figure(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def enter(stack: contextlib.AsyncExitStack, port: int, count: int) -> list[Raw]:
    return [await stack.enter_async_context(connected_to(port)) for _ in range(count)]


async def test_a_process_that_is_full_says_so_to_who_comes_now(drop: Drop) -> None:
    """Eight came just now, and a request of theirs may be on its way: nobody has to go."""
    refused = figure("dropwave_connections_refused_total", reason="full")
    async with contextlib.AsyncExitStack() as stack:
        clients = await enter(stack, drop.port, PLACES)
        await wait_until(lambda: len(drop.gateway.connections) == PLACES)
        async with connected_to(drop.port) as late:
            late.send(TIME)
            reply = await late.response()
            assert (reply.status, reply.code, reply.headers["connection"]) == (503, "busy", "close")
            assert reply.json["retry_after_ms"] >= 1_000
            assert await late.ended()
        for client in clients:
            client.send(TIME)
            assert (await client.response()).status == 200
    assert figure("dropwave_connections_refused_total", reason="full") == refused + 1
    await wait_until(lambda: len(drop.gateway.connections) == 0)
    assert (await drop.call("GET", "/v1/time")).status == 200


@pytest.mark.loops
async def test_who_has_done_nothing_for_longest_gives_way(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections without requests, or with one that does not end, lock nobody out; those at work stay."""
    monkeypatch.setattr(connections, "GRACE_S", 0.05)
    crowded = figure("dropwave_connections_cut_total", reason="crowded")
    async with contextlib.AsyncExitStack() as stack, silent_store(drop):
        at_work = (await enter(stack, drop.port, 1))[0]
        at_work.send(claim_request(drop.token(), "one-open", {"offer": "a"}))
        await wait_until(lambda: drop.gateway.load.in_flight == 1)
        idle = await enter(stack, drop.port, PLACES - 1)
        await wait_until(lambda: len(drop.gateway.connections) == PLACES)
        idle[1].send(b"GET /v1/time HTTP/1.1\r\nX: ")  # it is on its way from now on, and the last to give way
        honest = []
        for turn in range(PLACES - 1):

            async def answered() -> Raw | None:
                """A browser comes again until it gets in."""
                (client,) = await enter(stack, drop.port, 1)
                client.send(TIME)
                try:
                    return client if (await client.response()).status == 200 else None
                except OSError:
                    return None

            honest.append(await wait_until(answered))
            expected = [0, 2, 3, 4, 5, 6, 1][turn]
            assert await idle[expected].ended()
        assert figure("dropwave_connections_cut_total", reason="crowded") == crowded + PLACES - 1
        for client in honest:
            client.send(TIME)
            assert (await client.response()).status == 200
        await drop.stores.hot_store.call("CLIENT", "UNPAUSE")
        assert (await at_work.response()).status == 201


@pytest.mark.loops
async def test_a_crowd_that_connects_is_taken_in_together(drop: Drop) -> None:
    """Not one each time the loop goes round: a round is long when the crowd is large."""
    async with running_gateway(replace(drop.settings, connections_max=1_000), drop.stores) as wide:
        clients = [socket.create_connection(("127.0.0.1", wide.port)) for _ in range(100)]
        rounds = 0
        while len(wide.gateway.connections) < 100:
            rounds += 1
            assert rounds < 10
            await asyncio.sleep(0)
        for client in clients:
            client.close()


async def test_those_who_send_ahead_share_few_answers_a_second(drop: Drop) -> None:
    """Else they have a request ready whenever the loop goes round, and others get next to nothing done."""
    clients, each = 10, 15
    async with running_gateway(replace(drop.settings, connections_max=100), drop.stores) as wide:
        async with contextlib.AsyncExitStack() as stack:
            connected = await enter(stack, wide.port, clients)
            await wait_until(lambda: len(wide.gateway.connections) == clients)
            began_s = time.monotonic()
            for client in connected:
                client.send(TIME * each)
            for client in connected:
                for _ in range(each):
                    assert (await client.response()).status == 200
        assert time.monotonic() - began_s > 0.5 * clients * each * connections.SENT_AHEAD_S
        assert wide.gateway.connections._ahead == 0


async def test_too_many_requests_in_flight_are_busy_and_operators_are_not(drop: Drop) -> None:
    shed = figure("dropwave_requests_shed_total")
    async with contextlib.AsyncExitStack() as stack:
        first, second, third, fourth = await enter(stack, drop.port, 4)
        async with silent_store(drop):
            for nth, client in enumerate((first, second)):
                client.send(claim_request(drop.token(f"u{nth}"), "one-open", {"offer": "a"}))
            await wait_until(lambda: drop.gateway.load.in_flight == 2)
            third.send(claim_request("nonsense that nobody looks at", "one-open", {"offer": "a"}))
            reply = await third.response()
            assert (reply.status, reply.code) == (503, "busy")
            assert "connection" not in reply.headers, "it need not connect again"
            third.send(TIME.replace(b"time", b"waves"))
            assert (await third.response()).code == "busy"
            for path in ("/healthz", "/readyz", "/metrics"):
                fourth.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
                assert (await fourth.response()).status == 200
            ops = drop.token("ops", scope="ops", role="viewer")
            fourth.send(f"GET /v1/ops/waves/one-open HTTP/1.1\r\nHost: test\r\nAuthorization: {ops}\r\n\r\n".encode())
            assert (await fourth.response()).status == 200
        assert {(await client.response()).status for client in (first, second)} == {201}
        third.send(claim_request(drop.token("u3"), "one-open", {"offer": "a"}))
        assert (await third.response()).status == 201
    assert figure("dropwave_requests_shed_total") == shed + 2


async def test_a_body_that_trickles_takes_nobodys_place(drop: Drop) -> None:
    """In flight is what we owe an answer to."""
    async with contextlib.AsyncExitStack() as stack:
        slow = await enter(stack, drop.port, 4)
        for client in slow:
            client.send(claim_request(drop.token("slow"), "one-open", {"offer": "a"})[:-1])
        async with connected_to(drop.port) as honest:
            honest.send(claim_request(drop.token(), "one-open", {"offer": "a"}))
            assert (await honest.response()).status == 201
        statuses = []
        for client in slow:
            client.send(b"}")
            statuses.append((await client.response()).status)
        assert statuses == [201, 200, 200, 200]


def test_the_pause_that_is_asked_for_grows_with_what_waits() -> None:
    """Told to come back when it should be gone, and not all at once: the random part is as wide again."""
    load = Load(in_flight_max=300)
    for _ in range(300):
        assert load.enter() is None
    for _ in range(200):
        load.leave()
        assert load.enter() is None
    load.look(elapsed_s=1.0)
    load.look(elapsed_s=1.0)  # 200 in one second, none in the next: 50 a second by this average
    problem = load.enter()
    assert problem is not None
    assert problem.wait_ms == 300 / 50 * 1000
    soonest, latest = (retry_after_ms(problem, lambda width, at=at: round((width - 1) * at)) for at in (0, 1))
    assert soonest == 200 + 6_000
    assert latest == 200 + 6_000 + 800 + 6_000 - 1


def retry_after_ms(problem: Problem, draw: Callable[[int], int]) -> int:
    return int(json.loads(refuse(problem, "", draw).body)["retry_after_ms"])


async def test_an_address_may_have_its_share_only_where_that_is_set(drop: Drop) -> None:
    settings = replace(drop.settings, connections_per_address_max=3)
    async with running_gateway(settings, drop.stores) as fair, contextlib.AsyncExitStack() as stack:
        first, *_ = await enter(stack, fair.port, 3)
        await wait_until(lambda: len(fair.gateway.connections) == 3)
        async with connected_to(fair.port) as fourth:
            reply = await fourth.response()
            assert (reply.status, reply.code, reply.headers["connection"]) == (429, "too_many_requests", "close")
        first.writer.close()
        await wait_until(lambda: len(fair.gateway.connections) == 2)
        (fourth,) = await enter(stack, fair.port, 1)
        fourth.send(TIME)
        assert (await fourth.response()).status == 200


@pytest.mark.parametrize(
    ("peer", "share"),
    [
        (("192.0.2.7", 4711), "192.0.2.7"),
        (("::ffff:192.0.2.7", 4711, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 4711, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 4711, 0, 3), "fe80::/64"),
        ("/a/socket", ""),
        (None, ""),
    ],
)
def test_an_ipv6_customer_has_one_share(peer: object, share: str) -> None:
    class Transport(asyncio.Transport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            return peer if name == "peername" else default

    assert connections.share_of(Transport()) == share


def test_descriptors_are_raised_as_far_as_it_takes() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1_024, hard), hard))
        assert allowed_connections(1_000, 256) == 1_000
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1_000 + 256 + 256, hard)
        assert allowed_connections(10**9, 256) == hard - 256 - 256, "fewer, where the machine does not allow more"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

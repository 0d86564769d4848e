"""Stopping under load: every answer that begins is whole, and no claim is made without its answer."""

import asyncio
import contextlib
import itertools
import socket

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from engine.errors import CannotRun
from engine.gateway.accepting import listen
from engine.gateway.connections import UNSENT_BYTES_MAX
from engine.settings import Settings
from tests.gateway.drop import Drop, running_gateway, silent_store
from tests.gateway.raw import claim_request, connected_to, deaf_to
from tests.support.waiting import wait_until

CLIENTS = 40


class Crowd:
    """Clients that claim on and on, each time as another user, until the server lets go of them."""

    def __init__(self, drop: Drop, port: int) -> None:
        self.drop = drop
        self.port = port
        self.users = (f"crowd-{number}" for number in itertools.count())
        self.claimed: dict[str, str] = {}
        self.broken: list[tuple[str, bytes]] = []
        self.told_to_close = 0

    async def on_one_connection(self) -> None:
        """Until an answer says that the connection ends, or it ends while idle."""
        async with connected_to(self.port) as connection:
            while True:
                user = next(self.users)
                connection.send(claim_request(self.drop.token(user), "one-open", {"offers": ["a", "b"]}))
                try:
                    reply = await connection.response()
                except asyncio.IncompleteReadError as broken:
                    self.broken.append((user, broken.partial))
                    return
                assert reply.status == 201, reply.body
                self.claimed[user] = reply.json["claim"]["vouchers"][0]["code"]
                if reply.headers.get("connection") == "close":
                    self.told_to_close += 1
                    assert await connection.ended()
                    return

    async def on_new_connections(self) -> None:
        """A connection a claim, until they are refused."""
        while True:
            user = next(self.users)
            try:
                async with connected_to(self.port) as connection:
                    connection.send(claim_request(self.drop.token(user), "one-open", {"offers": ["a", "b"]}))
                    reply = await connection.response()
            except ConnectionRefusedError:
                return
            assert reply.status == 201, reply.body
            self.claimed[user] = reply.json["claim"]["vouchers"][0]["code"]


@pytest.mark.loops
async def test_no_answer_is_broken_by_a_stop_under_load(drop: Drop) -> None:
    async with running_gateway(drop.settings, drop.stores) as leaving:
        crowd = Crowd(drop, leaving.port)
        clients = [asyncio.create_task(crowd.on_one_connection()) for _ in range(CLIENTS)]
        clients += [asyncio.create_task(crowd.on_new_connections()) for _ in range(4)]
        await wait_until(lambda: len(crowd.claimed) >= 3 * CLIENTS)
        await leaving.gateway.stop()
        await asyncio.gather(*clients)
    assert crowd.broken == []
    assert crowd.told_to_close == CLIENTS
    again = await asyncio.gather(
        *(drop.claim("one-open", {"offers": ["a", "b"]}, drop.token(user)) for user in crowd.claimed)
    )
    assert {reply.status for reply in again} == {200}
    assert [reply["claim"]["vouchers"][0]["code"] for reply in again] == list(crowd.claimed.values())
    given = sum(drop.live("one-open").wave.stock.values()) - await units_left(drop)
    assert given == len(crowd.claimed)


def batches_sent() -> float:
    return REGISTRY.get_sample_value("dropwave_claim_batch_claims_count") or 0.0


async def units_left(drop: Drop) -> int:
    await drop.board.refresh()
    return sum(drop.live("one-open").left.values())


async def test_an_idle_connection_does_not_hold_up_a_stop(drop: Drop) -> None:
    settings = replace(drop.settings, drain_idle_ms=50)
    async with running_gateway(settings, drop.stores) as leaving, connected_to(leaving.port) as idle:
        idle.send(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await idle.response()).status == 200
        async with asyncio.timeout(3):
            await leaving.gateway.stop()
        assert await idle.ended()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", leaving.port or 1)


@pytest.mark.loops
async def test_connections_that_the_kernel_has_accepted_are_served(drop: Drop) -> None:
    request = claim_request(drop.token(), "one-open", {"offer": "a"})
    async with running_gateway(drop.settings, drop.stores) as leaving:
        queued = [socket.create_connection(("127.0.0.1", leaving.port)) for _ in range(5)]
        for client in queued:  # the event loop did not run since they connected
            client.sendall(request)
        await leaving.gateway.stop()
    for client in queued:
        client.settimeout(5)
        with client, client.makefile("rb") as answer:
            assert answer.readline().split()[1] in (b"200", b"201")
            assert b"Connection: close" in answer.read()


async def test_a_request_that_comes_while_draining_is_answered(drop: Drop) -> None:
    settings = replace(drop.settings, drain_idle_ms=2_000)
    async with running_gateway(settings, drop.stores) as leaving, connected_to(leaving.port) as late:
        late.send(b"GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await late.response()).json == {"status": "ready"}
        stopping = asyncio.create_task(leaving.gateway.stop())
        await asyncio.sleep(0)
        late.send(b"GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n")
        reply = await late.response()
        assert (reply.status, reply.json, reply.headers["connection"]) == (503, {"status": "draining"}, "close")
        await stopping  # ends at once: nobody is left


async def test_a_claim_under_way_gets_its_answer(drop: Drop) -> None:
    settings = replace(drop.settings, drain_idle_ms=1)
    async with running_gateway(settings, drop.stores) as leaving, connected_to(leaving.port) as connection:
        await drop.stores.hot_store.call("CLIENT", "PAUSE", 300, "ALL")
        before = batches_sent()
        connection.send(claim_request(drop.token(), "one-open", {"offer": "a"}))
        await wait_until(lambda: batches_sent() > before)  # and the store is silent
        await leaving.gateway.stop()
        reply = await connection.response()
        assert (reply.status, reply.headers["connection"]) == (201, "close")


SHORT = {
    "redis_timeout_ms": 1_500,
    "claim_decide_ms": 2_000,
    "claim_deadline_ms": 3_000,
    "body_deadline_ms": 900,
    "header_deadline_ms": 900,
    "drain_idle_ms": 50,
    "drain_ms": 3_000,
}
TIME = b"GET /v1/time HTTP/1.1\r\nHost: test\r\n\r\n"


async def test_a_stop_with_connections_in_every_state(drop: Drop) -> None:
    """What has begun is answered, with the word that it is the last; what has not is let go without one."""
    settings = replace(drop.settings, **SHORT)
    async with running_gateway(settings, drop.stores) as leaving, contextlib.AsyncExitStack() as stack:
        fresh, idle, headers, never, body, half, asking = [
            await stack.enter_async_context(connected_to(leaving.port)) for _ in range(7)
        ]
        idle.send(TIME)
        assert (await idle.response()).status == 200
        request = claim_request(drop.token("body"), "one-open", {"offer": "a"})
        headers.send(request[:40])
        never.send(request[:40])
        body.send(request[:-3])
        half.send(request[:-3])
        await wait_until(lambda: len(leaving.gateway.connections) == 7)
        async with silent_store(drop):
            before = batches_sent()
            asking.send(claim_request(drop.token("asking"), "one-open", {"offer": "a"}))
            await wait_until(lambda: batches_sent() > before)
            stopping = asyncio.create_task(leaving.gateway.stop())
            assert await fresh.ended()
            assert await idle.ended()
        reply = await asking.response()
        assert (reply.status, reply.headers["connection"]) == (201, "close")
        headers.send(request[40:].replace(b'"a"', b'"b"'))
        reply = await headers.response()
        assert (reply.status, reply.headers["connection"]) == (201, "close"), reply.body
        body.send(request[-3:])
        reply = await body.response()
        assert (reply.status, reply.code, reply.headers["connection"]) == (409, "already_claimed", "close")
        for slow in (never, half):
            reply = await slow.response()
            assert (reply.status, reply.code, reply.headers["connection"]) == (408, "timeout", "close")
        for each in (asking, headers, body, never, half):
            assert await each.ended()
        for each in (asking, headers, body, never, half):
            each.writer.close()
        await stopping


async def test_a_stop_among_clients_that_send_without_waiting(drop: Drop) -> None:
    """Each answer up to the one that says so is whole, and none is lost to a reset, though more was sent."""
    async with running_gateway(replace(drop.settings, **SHORT), drop.stores) as leaving:
        answered, told = [0] * 10, [0] * 10

        async def client(number: int) -> None:
            async with connected_to(leaving.port) as connection:
                while not told[number]:
                    connection.send(TIME * 20)
                    for _ in range(20):
                        reply = await connection.response()
                        assert reply.status == 200
                        answered[number] += 1
                        if reply.headers.get("connection") == "close":
                            told[number] += 1
                            break
                connection.send(TIME * 20)
                assert await connection.ended()

        clients = [asyncio.create_task(client(number)) for number in range(10)]
        await wait_until(lambda: min(answered) > 40)
        await leaving.gateway.stop()
        await asyncio.gather(*clients)
        assert told == [1] * 10


async def test_a_client_that_never_reads_does_not_hold_up_a_stop_for_ever(drop: Drop) -> None:
    settings = replace(drop.settings, **SHORT)
    async with running_gateway(settings, drop.stores) as leaving, deaf_to(leaving.port) as deaf:
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(deaf, TIME * 20_000))
        await wait_until(lambda: leaving.gateway.connections.unsent_bytes > UNSENT_BYTES_MAX, what="a write that waits")
        async with asyncio.timeout(8):  # far less than the ten seconds after which it is cut anyway
            await leaving.gateway.stop()
        assert len(leaving.gateway.connections) == 0
        with contextlib.suppress(ConnectionError):  # what came behind the last answer was thrown away
            await sending


async def test_one_of_two_processes_on_the_port_goes_under_load(drop: Drop) -> None:
    """Its clients come back and reach the other; no claim is told to nobody, none is made twice."""
    claimed: dict[str, str] = {}
    broken: list[bytes] = []
    over = asyncio.Event()

    async def client(number: int, port: int) -> None:
        """Claims on and on; comes back where it is told that its connection ends."""
        for nth in itertools.count():
            if over.is_set():
                return
            async with contextlib.AsyncExitStack() as stack:
                try:
                    connection = await stack.enter_async_context(connected_to(port))
                except ConnectionError:
                    continue  # the kernel had it in the queue of a socket that was closed
                for turn in itertools.count():
                    user = f"{number}-{nth}-{turn}"
                    try:
                        connection.send(claim_request(drop.token(user), "one-open", {"offers": ["a", "b"]}))
                        reply = await connection.response()
                    except (ConnectionError, asyncio.IncompleteReadError) as error:
                        if turn or getattr(error, "partial", b""):
                            broken.append(getattr(error, "partial", b"reset"))
                        break
                    assert reply.status == 201, reply.body
                    claimed[user] = reply.json["claim"]["vouchers"][0]["code"]
                    if over.is_set() or reply.headers.get("connection") == "close":
                        break

    async with running_gateway(replace(drop.settings, **SHORT), drop.stores) as staying:
        shared = replace(drop.settings, **SHORT, port=staying.port)
        async with running_gateway(shared, drop.stores) as leaving:
            clients = [asyncio.create_task(client(number, staying.port)) for number in range(20)]
            await wait_until(lambda: len(leaving.gateway.connections) > 3 and len(claimed) > 100)
            await leaving.gateway.stop()
        gone = len(claimed)
        await wait_until(lambda: len(claimed) > gone + 40, what="claims at the one that stays")
        over.set()
        await asyncio.gather(*clients)
    assert broken == []
    given = sum(drop.live("one-open").wave.stock.values()) - await units_left(drop)
    assert given == len(claimed) == len(set(claimed.values()))


async def test_start_and_stop_tolerate_being_called_twice(drop: Drop) -> None:
    async with running_gateway(drop.settings, drop.stores) as other:
        port = other.port
        await other.gateway.start()
        assert other.port == port
        await other.gateway.stop()
        await other.gateway.stop()


def test_an_address_that_cannot_be_had_is_told_with_the_way_out(unused_tcp_port: int) -> None:
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", unused_tcp_port))
        taken.listen()
        with pytest.raises(CannotRun, match=f"port {unused_tcp_port} on 127.0.0.1 is taken.*--port"):
            listen(Settings(port=unused_tcp_port))
    with pytest.raises(CannotRun, match="--host"):
        listen(Settings(host="no.such.host.invalid", port=0))

"""Stopping under load: every answer that begins is whole, and no claim is made without its answer."""

import asyncio
import contextlib
import itertools
import socket

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from engine.errors import CannotRun
from engine.gateway.server import listen
from engine.settings import Settings
from tests.gateway.drop import Drop, running_gateway
from tests.gateway.raw import claim_request, connected_to
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
    for user, code in crowd.claimed.items():
        again = await drop.claim("one-open", {"offers": ["a", "b"]}, drop.token(user))
        assert (again.status, again["claim"]["vouchers"][0]["code"]) == (200, code)
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

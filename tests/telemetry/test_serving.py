"""The port for metrics alone: two paths, bounded, in nobody's way."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from engine.errors import CannotRun
from engine.telemetry import CONNECTIONS, serving
from engine.telemetry.serving import MetricsServer
from tests.support.waiting import wait_until


@pytest.fixture
async def server() -> AsyncIterator[MetricsServer]:
    running = MetricsServer("127.0.0.1", 0)
    await running.start()
    yield running
    await running.stop()


async def exchange(port: int, data: bytes) -> bytes:
    """Everything that comes back until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.loops
async def test_pages(server: MetricsServer) -> None:
    CONNECTIONS.set(3)
    metrics = await exchange(server.port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    CONNECTIONS.set(0)
    head, _, body = metrics.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8" in head
    assert b"Content-Length: %d" % len(body) in head
    assert b"\ndropwave_connections 3.0\n" in body
    assert (await exchange(server.port, b"GET /healthz HTTP/1.1\r\n\r\n")).endswith(b'{"status":"ok"}')
    assert (await exchange(server.port, b"HEAD /metrics?x=1 HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")
    assert (await exchange(server.port, b"GET /else HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
    assert (await exchange(server.port, b"POST /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405 ")


async def test_what_is_no_request_gets_no_answer(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "DEADLINE_S", 0.1)
    assert await exchange(server.port, b"GET /" + b"x" * 100_000 + b"\r\n\r\n") == b""
    assert await exchange(server.port, b"GET /metrics HTTP/1.1\r\n") == b""  # and waits
    async with asyncio.timeout(5):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.close()  # gone without a word
    assert (await exchange(server.port, b"GET /healthz HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_a_few_monitors_at_a_time(server: MetricsServer) -> None:
    waiting = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(serving.CONNECTIONS_MAX)]
    await wait_until(lambda: server._open == serving.CONNECTIONS_MAX)
    assert await exchange(server.port, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
    for _, writer in waiting:
        writer.close()
    await wait_until(lambda: server._open == 0)
    assert await exchange(server.port, b"GET /healthz HTTP/1.1\r\n\r\n")


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = MetricsServer("127.0.0.1", port)
        with pytest.raises(CannotRun, match=f"port {port}: another role listens there: give each a metrics_port"):
            await server.start()
        await server.stop()

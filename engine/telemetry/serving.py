"""A port for `/metrics` and `/healthz` alone: for roles that serve no users, and to keep figures off the users' port.

Two paths for a monitor inside the house; not worth a web framework, which the roles behind the gateway do without.
Each connection gets one answer and ends.
"""

import asyncio
import contextlib
import errno
import socket
from typing import Final

import structlog

from engine.errors import CannotRun
from engine.telemetry.shared import METRICS_FOLDER, METRICS_TYPE, metrics_text

log = structlog.get_logger(__name__)

HEAD_BYTES_MAX: Final = 8_192
DEADLINE_S: Final = 5.0
"""For a request to come and its answer to be taken."""
CONNECTIONS_MAX: Final = 16
"""At the same time: a few monitors. Others are closed unanswered."""


class MetricsServer:
    """A service: listens on that address. Roles that share their figures share the port too, whoever answers."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._open = 0

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port if self._server is None else int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen; a second start does nothing. Raises CannotRun where the address cannot be had."""
        if self._server is not None:
            return
        try:
            self._server = await asyncio.start_server(
                self._answer,
                self._host,
                self._port,
                limit=HEAD_BYTES_MAX,
                family=socket.AF_INET6 if ":" in self._host else socket.AF_INET,
                reuse_address=True,
                reuse_port=bool(METRICS_FOLDER),
            )
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "another role listens there: give each a metrics_port of its own" if taken else error.strerror
            raise CannotRun(f"cannot show metrics on {self._host} port {self._port}: {why}") from error

    async def stop(self) -> None:
        """Stop listening."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= CONNECTIONS_MAX:
                async with asyncio.timeout(DEADLINE_S):
                    await self._exchange(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a monitor that hangs up, or is none, gets no answer
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b" ")
        status, kind, body = await _page(method, rest.partition(b" ")[0].partition(b"?")[0])
        head = (
            f"HTTP/1.1 {status}\r\nServer: dropwave\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + (b"" if method == b"HEAD" else body))
        await writer.drain()


async def _page(method: bytes, path: bytes) -> tuple[str, str, bytes]:
    """Status line, type and body."""
    if method not in (b"GET", b"HEAD"):
        return "405 Method Not Allowed", "text/plain; charset=utf-8", b"only GET and HEAD\n"
    if path == b"/metrics":
        return "200 OK", METRICS_TYPE, await asyncio.to_thread(metrics_text)
    if path == b"/healthz":  # answered by the event loop that does the work: where it hangs, there is no answer
        return "200 OK", "application/json; charset=utf-8", b'{"status":"ok"}'
    return "404 Not Found", "text/plain; charset=utf-8", b"/metrics or /healthz\n"

"""Bytes on a socket, for what a well-behaved client would not send, and a reader of what comes back."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class Raw:
    """One connection. Each read has a deadline, so a server that says nothing fails the test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, deadline_s: float = 10.0) -> "Raw.Response":
        """The next answer, whole. IncompleteReadError where the connection ends before or within it."""
        async with asyncio.timeout(deadline_s):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Raw.Response(int(status_line.split()[1]), headers, body)

    async def ended(self, deadline_s: float = 10.0) -> bool:
        """Whether the server closes without another byte."""
        async with asyncio.timeout(deadline_s):
            return await self.reader.read(1) == b""

    class Response:
        def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.status = status
            self.headers = headers
            self.body = body

        @property
        def json(self) -> Any:
            return json.loads(self.body)

        @property
        def code(self) -> str:
            return str(self.json["code"])


@asynccontextmanager
async def connected_to(port: int) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def deaf_to(port: int) -> AsyncIterator[socket.socket]:
    """A client with hardly any room for answers, or for requests that nobody takes."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    client.setblocking(False)
    with client:
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        yield client


def claim_request(auth: str, wave: str, body: Any, extra: str = "") -> bytes:
    """A claim as bytes."""
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/waves/{wave}/claims HTTP/1.1\r\nHost: test\r\nAuthorization: {auth}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n{extra}\r\n"
    )
    return head.encode() + data

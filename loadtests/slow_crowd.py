"""Clients that hang on: `python loadtests/slow_crowd.py HOST PORT COUNT`, until its input ends.

They come in five kinds, shared out evenly, and come back at once when they are cut:

    headers   a request whose headers come a byte each 200 ms and never end
    body      a claim whose body comes a byte each 200 ms and never ends
    deaf      requests without end, whose answers are never read
    silent    a connection on which nothing is ever sent
    half      one request, answered; then half of another, and silence

Each life of a connection is counted by how it ended; at the end the counts are printed as JSON. A process of its own,
so that the load of being slow 500 times is not borne by whoever measures.
"""

import asyncio
import contextlib
import json
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

_TRICKLE_S = 0.2
_COME_BACK_S = 0.05
"""Between being cut and coming back: who comes back faster than that is a flood, which is another test."""
_HEAD = b"GET /v1/time HTTP/1.1\r\nHost: slow\r\n"
_BODY_HEAD = (
    b"POST /v1/waves/slow/claims HTTP/1.1\r\nHost: slow\r\n"
    b"Content-Type: application/json\r\nContent-Length: 8000\r\n\r\n"
)

Fates = Counter[str]
Kind = Callable[[socket.socket], Awaitable[bytes]]


async def _trickle(client: socket.socket, head: bytes, forever: bytes) -> bytes:
    """What came back, or b"" where the connection just ended."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, head)
    answer = asyncio.ensure_future(loop.sock_recv(client, 4_096))
    while not answer.done():
        await loop.sock_sendall(client, forever)
        await asyncio.wait({answer}, timeout=_TRICKLE_S)
    return await answer


async def _headers(client: socket.socket) -> bytes:
    return await _trickle(client, _HEAD + b"X: ", b"x")


async def _body(client: socket.socket) -> bytes:
    return await _trickle(client, _BODY_HEAD, b" ")


async def _deaf(client: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    while True:
        await loop.sock_sendall(client, (_HEAD + b"\r\n") * 100)


async def _silent(client: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(client, 4_096)


async def _half(client: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, _HEAD + b"\r\n")
    await loop.sock_recv(client, 4_096)
    await loop.sock_sendall(client, _HEAD)
    return await loop.sock_recv(client, 4_096)


_KINDS: dict[str, Kind] = {"headers": _headers, "body": _body, "deaf": _deaf, "silent": _silent, "half": _half}


def _said(answer: bytes) -> str:
    return answer.split(b" ", 2)[1].decode() if answer.startswith(b"HTTP/1.1 ") else "closed"


async def _hang_on(name: str, address: tuple[str, int], fates: Fates) -> None:
    loop = asyncio.get_running_loop()
    while True:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.setblocking(False)
            try:
                await loop.sock_connect(client, address)
                fates[f"{name} came"] += 1
                ended = _said(await _KINDS[name](client))
            except OSError as error:
                ended = type(error).__name__
            fates[f"{name} {ended}"] += 1
        await asyncio.sleep(_COME_BACK_S)


async def _crowd(address: tuple[str, int], count: int) -> Fates:
    fates: Fates = Counter()
    names = list(_KINDS)
    clients = [asyncio.create_task(_hang_on(names[nth % len(names)], address, fates)) for nth in range(count)]
    await asyncio.to_thread(sys.stdin.read)
    for client in clients:
        client.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*clients)
    return fates


if __name__ == "__main__":
    host, port, count = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(_crowd((host, int(port)), int(count)))))

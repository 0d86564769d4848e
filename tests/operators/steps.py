"""Proxies that count what a process sends to its servers and, at one step, let it die.

A step is what the process sends in one go. At the fatal one the server gets it and answers; then the process is
killed, before it hears of it. Whoever dies before a step has the same effect as one who dies behind the step before.
"""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 1 << 20


class Steps:
    """Counts over all connections to all servers. `kill` is called once, at step `fatal` (0: never)."""

    def __init__(self) -> None:
        self._listeners: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._fatal = 0
        self._kill: Callable[[], None] = lambda: None
        self.count = 0
        self.killed = False

    def begin(self, fatal: int, kill: Callable[[], None]) -> None:
        """Another process begins: count from 1."""
        self._fatal, self._kill, self.count, self.killed = fatal, kill, 0, False

    async def through(self, url: str) -> str:
        """The same address, with the steps to it counted."""
        parts = urlsplit(url)
        assert parts.port is not None
        port = parts.port
        listener = await asyncio.start_server(lambda r, w: self._connected(r, w, port), LOOPBACK, 0)
        self._listeners.append(listener)
        own = listener.sockets[0].getsockname()[1]
        return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{port}", f":{own}")))

    async def close(self) -> None:
        """Nobody connects any more, and connections end."""
        for listener in self._listeners:
            listener.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        from_server, to_server = await asyncio.open_connection(LOOPBACK, port)
        fatal = asyncio.Event()

        async def requests() -> None:
            while data := await reader.read(_CHUNK_BYTES):
                self.count += 1
                if self.count == self._fatal:
                    fatal.set()
                to_server.write(data)
                await to_server.drain()

        async def answers() -> None:
            while data := await from_server.read(_CHUNK_BYTES):
                if fatal.is_set():
                    break
                writer.write(data)
                await writer.drain()
            if fatal.is_set() and not self.killed:
                self.killed = True
                self._kill()

        pumps = [asyncio.create_task(requests()), asyncio.create_task(answers())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for each in (writer, to_server):
                each.transport.abort()

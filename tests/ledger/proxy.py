"""A way to Postgres that can be cut at the moment that matters."""

import asyncio
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_COMMIT = b"commit\0"


class CutProxy:
    """Passes everything on, until `cut_at` says otherwise.

    "before": a commit is not passed on, the connection is cut instead. Nothing is committed.
    "after": a commit is passed on, its answer is not, the connection is cut instead. It is committed, and the
    client cannot know. Only the next commit is hit.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.cut_at = ""
        self.cuts = 0
        self._closed = False

    def close_line(self) -> None:
        """Cut every connection and take no new one."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    def open_line(self) -> None:
        """Take connections again."""
        self._closed = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """The address that goes through here."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        login = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{login}@127.0.0.1:{port}"))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._closed:
            writer.transport.abort()
            return
        answers, onward = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        back = asyncio.create_task(_copy(answers, writer))
        try:
            while data := await reader.read(65_536):
                cut_at = self.cut_at if _COMMIT in data else ""
                if cut_at:
                    self.cut_at = ""
                    self.cuts += 1
                    back.cancel()
                if cut_at == "before":
                    return
                onward.write(data)
                await onward.drain()
                if cut_at == "after":
                    await asyncio.gather(back, return_exceptions=True)
                    await answers.readexactly(1)  # Postgres has answered: it is committed
                    return
        finally:
            back.cancel()
            onward.close()
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()

"""Sending cases over connections, several at once, and hearing the answers out."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final, NamedTuple, cast

from loadtests.fuzz.answers import Answer, NoAnswer, take_answer
from loadtests.fuzz.cases import Case
from loadtests.fuzz.reading import End

HANGS_S: Final = 20.0
"""Twice the longest that a gateway gives a client by its settings: beyond that nothing more comes."""
TOGETHER_MAX: Final = 24
"""Cases sent in one go, behind one another on one connection: below the 32 that aiohttp lets wait."""
_CUT_EACH: Final = 4
"""One talk in so many is sent in two pieces."""


class Talk(NamedTuple):
    """Cases on one connection, and what came back."""

    cases: Sequence[Case]
    answers: list[Answer]
    has_ended: bool
    """Whether the gateway has closed the connection."""
    took_s: float
    flaw: str = ""
    """What came that is no answer, or that nothing came."""


def talks_of(cases: Iterator[Case]) -> Iterator[list[Case]]:
    """Cases as they go together: none stands behind one that nothing can follow."""
    together: list[Case] = []
    for case in cases:
        if case.end is End.INCOMPLETE and together:  # its client hangs up, and hears of nothing that was asked before
            yield together
            together = []
        together.append(case)
        if case.is_last or len(together) == TOGETHER_MAX:
            yield together
            together = []
    if together:
        yield together


class Line(asyncio.Protocol):
    """A connection that collects what comes until as many answers are there as are waited for, or it ends."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.has_ended = False
        self._data = b""
        self._place = 0
        self._answers: list[Answer] = []
        self._to_head: list[bool] = []
        self._count = 0
        self._done: asyncio.Future[str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one without being a subclass

    def data_received(self, data: bytes) -> None:
        """A piece of an answer, or of several."""
        self._data = self._data[self._place :] + data
        self._place = 0
        self._take()

    def eof_received(self) -> None:
        """The gateway says nothing more."""
        self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._finish("reset" if exc is not None else "")

    async def hear(self, to_head: list[bool], count: int, within_s: float = HANGS_S) -> tuple[list[Answer], str]:
        """The next answers: `count` of them, or all until the end where it is -1; and what was wrong with them.

        `to_head` says which of them have no body.
        """
        self._answers, self._to_head, self._count = [], to_head, count
        self._done = asyncio.get_running_loop().create_future()
        self._take()
        if self.has_ended:
            self._finish()
        try:
            flaw = await asyncio.wait_for(self._done, within_s)
        except TimeoutError:
            flaw = "nothing more came"
        return self._answers, flaw

    def hang_up(self) -> None:
        """Say nothing more, and go on listening."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write_eof()

    def close(self) -> None:
        """End it."""
        if self.transport is not None:
            self.transport.abort()

    def _take(self) -> None:
        if self._done is None or self._done.done():
            return
        nth = sum(not answer.is_interim for answer in self._answers)
        try:
            while nth != self._count:
                taken = take_answer(self._data, self._place, to_head=nth < len(self._to_head) and self._to_head[nth])
                if taken is None:
                    return
                answer, self._place = taken
                self._answers.append(answer)
                nth += not answer.is_interim
                if answer.is_last and self._count >= 0:
                    self._count = -1  # what is left is the end
        except NoAnswer as error:
            self._done.set_result(f"no answer: {error}")
            return
        self._done.set_result("")

    def _finish(self, flaw: str = "") -> None:
        self.has_ended = True
        if self._done is not None and not self._done.done():
            self._done.set_result(flaw or ("an answer is cut" if self._place < len(self._data) else ""))


async def ask(host: str, port: int, request: bytes, within_s: float = HANGS_S) -> Answer:
    """The answer to one request on a connection of its own. Raises NoAnswer, and OSError where nobody listens."""
    _, line = await asyncio.get_running_loop().create_connection(Line, host, port)
    try:
        assert line.transport is not None
        line.transport.write(request)
        answers, flaw = await line.hear([False], 1, within_s)
    finally:
        line.close()
    if not answers:
        raise NoAnswer(flaw or "the connection ended")
    return answers[-1]


class Caller:
    """Somebody with one connection at a time, kept for as long as it holds."""

    def __init__(self, host: str, port: int, seed: int) -> None:
        self._address = host, port
        self._draw = Random(seed)
        self._line: Line | None = None
        self.connections = 0

    async def talk(self, cases: Sequence[Case]) -> Talk:
        """Send these cases and hear their answers."""
        began_s = time.monotonic()
        line = self._line
        if line is None or line.has_ended:
            _, line = await asyncio.get_running_loop().create_connection(Line, *self._address)
            self.connections += 1
        self._line = None
        await self._send(line, b"".join(case.data for case in cases))
        wants = [want for case in cases for want in case.wants]
        end = cases[-1].end
        to_head = [want.to_head for want in wants]
        answers, flaw = await line.hear(to_head, -1 if end in (End.CLOSED, End.MALFORMED) else len(wants))
        if end is End.INCOMPLETE and not line.has_ended and not flaw:
            line.hang_up()
            more, flaw = await line.hear([], -1)
            answers += more
        if end is End.CLEAN and not line.has_ended and not flaw:
            self._line = line  # good for more
        else:
            line.close()
        return Talk(cases, answers, line.has_ended, time.monotonic() - began_s, flaw)

    async def _send(self, line: Line, data: bytes) -> None:
        assert line.transport is not None
        if self._draw.randrange(_CUT_EACH) == 0 and len(data) > 1:
            cut = self._draw.randrange(1, len(data))
            line.transport.write(data[:cut])
            await asyncio.sleep(0)  # so that they are two pieces for the gateway, mostly
            await asyncio.sleep(0)
            data = data[cut:]
        line.transport.write(data)

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()

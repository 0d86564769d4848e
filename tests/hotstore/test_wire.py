"""The wire: answers that come in pieces, by halves, too late, unasked or from somebody who is no Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hiredis import ReplyError

from engine.hotstore.wire import NotSent, Wire, pack
from tests.support.proxy import LOOPBACK
from tests.support.waiting import wait_until

pytestmark = pytest.mark.loops

PING = pack(["PING"])
LONG_S = 20.0


class Peer:
    """The other end of a wire, which says what a test puts into its mouth."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.has_gone = asyncio.Event()
        self.comes: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.comes.set_result(writer)
        try:
            while data := await reader.read(1_000):
                self.heard += data
        except ConnectionError:
            pass
        finally:
            self.has_gone.set()
            writer.close()

    async def say(self, *pieces: bytes) -> None:
        writer = await self.comes
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)


@pytest.fixture
async def peer() -> Peer:
    return Peer()


@pytest.fixture
async def wire(peer: Peer) -> AsyncIterator[Wire]:
    server = await asyncio.start_server(peer.take, LOOPBACK, 0)
    _, wire = await asyncio.get_running_loop().create_connection(Wire, *server.sockets[0].getsockname()[:2])
    yield wire
    await wire.close()
    await wire.close()
    server.close()
    async with asyncio.timeout(LONG_S):
        await peer.has_gone.wait()


async def asked(wire: Wire, peer: Peer, count: int = 1, wait_s: float = LONG_S) -> "asyncio.Task[list[object]]":
    """A request that has come to the other end."""
    answers = asyncio.create_task(wire.exchange(PING * count, count, wait_s))
    await wait_until(lambda: peer.heard == PING * count, what="the request has come")
    return answers


async def test_answers_in_pieces(wire: Wire, peer: Peer) -> None:
    told = b"+PONG\r\n*3\r\n$5\r\na\r\nb!\r\n$-1\r\n*2\r\n:-7\r\n-ERR no\r\n-NOSCRIPT which\r\n"
    answers = await asked(wire, peer, 3)
    await peer.say(*[told[place : place + 1] for place in range(len(told))])
    first, nested, last = await answers
    assert (first, repr(nested)) == (b"PONG", "[b'a\\r\\nb!', None, [-7, ReplyError('ERR no')]]")
    assert isinstance(last, ReplyError)
    assert wire.is_open, "an error is an answer like others"


async def test_half_an_answer_is_no_answer(wire: Wire, peer: Peer) -> None:
    answers = await asked(wire, peer, wait_s=0.2)
    await peer.say(b"$10\r\n01234")
    with pytest.raises(TimeoutError):
        await answers
    await peer.has_gone.wait()
    assert not wire.is_open
    with pytest.raises(NotSent):
        await wire.exchange(PING, 1, LONG_S)
    assert bytes(peer.heard) == PING, "nothing is written once nobody could tell the answers apart"


async def test_the_last_answer_of_several_is_waited_for(wire: Wire, peer: Peer) -> None:
    answers = await asked(wire, peer, 2, wait_s=0.2)
    await peer.say(b"+PONG\r\n")
    with pytest.raises(TimeoutError):
        await answers


async def test_who_gives_up_takes_the_connection_along(wire: Wire, peer: Peer) -> None:
    answers = await asked(wire, peer)
    await peer.say(b"$10\r\n01234")
    answers.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answers
    assert not wire.is_open
    async with asyncio.timeout(LONG_S):
        await peer.has_gone.wait()


@pytest.mark.parametrize("told", [b"-ERR max number of clients reached\r\n", b"+PONG\r\n"])
async def test_what_nobody_asked_for_is_no_answer(wire: Wire, peer: Peer, told: bytes) -> None:
    await peer.say(told)
    await wait_until(lambda: not wire.is_open, what="the wire is cut")
    with pytest.raises(NotSent, match=r"max number|PONG"):
        await wire.exchange(PING, 1, LONG_S)
    assert not peer.heard


async def test_more_answers_than_questions(wire: Wire, peer: Peer) -> None:
    """Which of them is the answer is not known."""
    answers = await asked(wire, peer)
    await peer.say(b"+PONG\r\n+PONG\r\n")
    with pytest.raises(ConnectionError, match="nobody had asked"):
        await answers


async def test_somebody_who_is_no_redis(wire: Wire, peer: Peer) -> None:
    answers = await asked(wire, peer)
    await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ConnectionError, match="not Redis"):
        await answers


async def test_the_end_while_an_answer_is_awaited(wire: Wire, peer: Peer) -> None:
    answers = await asked(wire, peer)
    (await peer.comes).close()
    with pytest.raises(ConnectionError) as raised:
        await answers
    assert not isinstance(raised.value, NotSent), "it was written: what was done is not known"


async def test_one_request_at_a_time(wire: Wire, peer: Peer) -> None:
    answers = await asked(wire, peer)
    with pytest.raises(RuntimeError, match="one request"):
        await wire.exchange(PING, 1, LONG_S)
    await peer.say(b"+PONG\r\n")
    assert await answers == [b"PONG"]
    assert bytes(peer.heard) == PING

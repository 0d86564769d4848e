"""Whatever the lane takes for a plain request is that very request to aiohttp's parser, and stands alone."""

import asyncio
from contextlib import closing
from typing import Any

from aiohttp.http import HttpRequestParser, HttpVersion11
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.gateway.framing import flaw_of
from engine.gateway.lane.plain import _HEAD_BYTES_MAX, _HEADS_MAX, PlainReader

BODY = b'{"offer":"a"}'
WHOLE = (
    b"POST /v1/waves/w/claims HTTP/1.1\r\nHost: t\r\nAuthorization: Ticket abc\r\n"
    b"Content-Type: application/json\r\nContent-Length: 13\r\n\r\n" + BODY
)
PAGE = b"GET /v1/waves/w HTTP/1.1\r\nHost: t\r\nIf-None-Match: *\r\n\r\n"
ODDITIES = [
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"transfer-encoding:\x0bchunked\r\n",
    b"Content-Length: 13\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: +13\r\n",
    b"Content-Length: 13, 13\r\n",
    b"Content-Length: 013\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: keep-alive, close\r\n",
    b"Host: other\r\n",
    b"Host: a b\r\n",
    b"X: 1\r\n folded\r\n",
    b"X: 1\n",
    b"X: 1\r",
    b"X: \xe5\x88\xb8\r\n",
    b"X: \x00\r\n",
    b"X:\t1 \r\n",
    b"X:1\r\n",
    b"content_length: 13\r\n",
    b"Content_Type: text/plain\r\n",
    b"content-type: text/plain\r\n",
    b"User-Agent: a\r\nuser-agent: b\r\n",
    b": 1\r\n",
    b"X\r\n",
    b" X: 1\r\n",
    b"Sec-WebSocket-Key1: 1\r\n",
    b"Authorization: Ticket other\r\n",
    b"Authorization: \r\n",
    b"authorization: x\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    WHOLE,
    PAGE,
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b"\0",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"HTTP/2.0",
    b"OPTIONS",
]


class NoProtocol:
    """What the parser wants of a connection."""

    _reading_paused = False

    def pause_reading(self, *_: Any, **__: Any) -> None: ...
    def resume_reading(self, *_: Any, **__: Any) -> None: ...


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A request with up to four pieces put in, taken out or doubled."""
    data = draw(st.sampled_from([WHOLE, PAGE]))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        if draw(st.booleans()):  # where a line begins, what is put in means most
            at = data.rfind(b"\r\n", 0, at) + 2 if b"\r\n" in data[:at] else 0
        match draw(st.integers(0, 2)):
            case 0:
                data = data[:at] + draw(st.sampled_from(ODDITIES)) + data[at:]
            case 1:
                data = data[:at] + data[at + draw(st.integers(1, 20)) :]
            case _:
                data = data[:at] + draw(st.binary(min_size=1, max_size=3)) + data[at + draw(st.integers(0, 3)) :]
    return data


def as_aiohttp_reads(data: bytes, loop: asyncio.AbstractEventLoop) -> list[tuple[Any, bytes]]:
    """Every request in `data`, each with all of its body; raises where aiohttp would refuse."""
    parser = HttpRequestParser(
        NoProtocol(),  # type: ignore[arg-type]  # as much of a protocol as it needs
        loop,
        2**16,
        max_line_size=8_190,
        max_field_size=8_190,
        max_headers=64,
        auto_decompress=False,
    )
    messages, _, rest = parser.feed_data(data)
    assert not rest
    assert all(body.is_eof() for _, body in messages)
    return [(message, b"".join(getattr(body, "_buffer", ()))) for message, body in messages]


READER = PlainReader(8190, 64)


@settings(max_examples=400)
@given(damaged())
@example(WHOLE)
@example(PAGE)
@example(WHOLE + WHOLE)
@example(WHOLE[:-1])
@example(WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"))
@example(WHOLE.replace(b"Content-Length: 13\r\n", b"Transfer-Encoding: chunked\r\n"))
@example(PAGE + b"\r\nAuthorization: Ticket x\r\n\r\n\r\n")
@example(WHOLE.replace(b"Content-Length: 13\r\n\r\n", b"\r\nContent-Length: 13\r\n\r\n"))
@example(WHOLE + b"\r\n\r\n")
def test_what_is_plain_is_the_same_to_aiohttp(data: bytes) -> None:
    plain = READER.read(data, data.find(b" ") + 1)
    for reader in (PlainReader(8190, 64), READER):
        assert plain == reader.read(data, data.find(b" ") + 1), "whatever it has read before"
    if plain is None:
        return
    with closing(asyncio.new_event_loop()) as loop:
        ((message, body),) = as_aiohttp_reads(data, loop)
    assert flaw_of(message) is None
    assert message.version == HttpVersion11
    assert (message.should_close, message.chunked, message.upgrade, message.compression) == (False, False, False, None)
    head, authorization, own_body = plain
    assert (message.path.encode(), body) == (head.target, own_body)
    headers = {name.lower(): value for name, value in message.headers.items()}
    assert len(message.headers) == len(headers)
    assert (headers.pop("authorization", ""), headers) == (authorization, head.headers)
    assert READER.read(data, data.find(b" ") + 1) is not None, "nothing is left of a request for the next one"


def test_the_plain_ones_are_plain() -> None:
    """Else the test above would look at nothing."""
    for data in (
        WHOLE,
        PAGE,
        WHOLE.replace(b"Host: t", b"host:t"),
        WHOLE.replace(b"Host", b"Connection: keep-alive\r\nHost"),
    ):
        plain = READER.read(data, data.find(b" ") + 1)
        assert plain is not None
        assert plain[0].headers["host"] == "t"


AUTHORIZATIONS = st.one_of(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)).map(str.encode),
    st.binary(max_size=6),
    st.sampled_from([b"Ticket abc ", b" Ticket abc", b"Ticket\tabc", b"Ticket abc\r\n x", b"a\r\n\r\n", b"a\nX: 1"]),
)


@settings(max_examples=200)
@given(st.sampled_from([b"Authorization", b"authorization", b"AUTHORIZATION"]), AUTHORIZATIONS, st.booleans())
@example(b"Authorization", b"x" * 8_100, True)
def test_a_head_that_was_read_is_read_alike_around_another_value(name: bytes, value: bytes, is_last: bool) -> None:
    """By a reader that knows its head, and by one that does not."""
    line = b"Authorization: Ticket abc\r\n"
    known = WHOLE.replace(line, b"").replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n") if is_last else WHOLE
    known = known.replace(b"Authorization", name)
    knowing = PlainReader(8190, 64)
    read = knowing.read(known, 5)
    assert read is not None
    assert knowing.read(known, 5) == read
    data = known.replace(b"Ticket abc", value)
    assert knowing.read(data, 5) == PlainReader(8190, 64).read(data, 5)


def test_what_is_cut_is_not_whole_because_its_head_is_known() -> None:
    page = PAGE.replace(b"Host: t\r\n", b"Host: t\r\nAuthorization: Ticket abc\r\n")
    for whole in (WHOLE, PAGE, page, page.replace(b"If-None-Match: *\r\n", b"")):
        for length in range(len(whole)):
            reader = PlainReader(8190, 64)
            assert reader.read(whole, whole.find(b" ") + 1) is not None
            assert reader.read(whole[:length], whole.find(b" ") + 1) is None, whole[:length]


def test_no_more_heads_are_remembered_than_there_is_room_for() -> None:
    reader = PlainReader(8190, 64)
    for number in range(3 * _HEADS_MAX):
        assert reader.read(WHOLE.replace(b"Host: t", b"Host: t\r\nUser-Agent: %d" % number), 5) is not None
        assert len(reader._heads) <= _HEADS_MAX
    known = len(reader._heads)
    for odd in (b"X-Request-Id: own", b"X: " + b"y" * _HEAD_BYTES_MAX):
        assert reader.read(WHOLE.replace(b"Host: t", b"Host: t\r\n" + odd), 5) is not None
    assert len(reader._heads) == known


def test_what_is_refused_leaves_nothing_behind() -> None:
    for odd in ODDITIES:
        for data in (odd, WHOLE[:-5], WHOLE + odd, PAGE[:-2] + odd):
            READER.read(data, 4)
            assert READER.read(WHOLE, 5) is not None
            assert READER.read(PAGE, 4) is not None


def test_what_looks_like_a_header_within_a_body_is_none() -> None:
    head, body = WHOLE.replace(b"Authorization: Ticket abc\r\n", b""), b"\r\nAuthorization: x\r\nX: y\r\n\r\n"
    head = head.replace(b"Content-Length: 13", b"Content-Length: 30")[: -len(BODY)]
    reader = PlainReader(8190, 64)
    plain = reader.read(head + body.ljust(30), 5)
    assert plain is not None
    assert plain[1:] == ("", body.ljust(30))
    assert reader.read(head + body + b" " * 30, 5) is None

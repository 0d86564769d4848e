"""Malformed requests by the thousand (scripts/fuzz sends a million), and whether the judge would see a fault."""

from collections import Counter

import pytest
from msgspec.structs import replace

from engine.settings import Settings
from engine.wiring import running, writer_services
from loadtests.fuzz.answers import Answer, take_answer
from loadtests.fuzz.cases import Case, Want, by_reading, one
from loadtests.fuzz.judge import Judge
from loadtests.fuzz.kinds import KINDS, make_case
from loadtests.fuzz.kit import Kit
from loadtests.fuzz.reading import End, read
from loadtests.fuzz.report import table
from loadtests.fuzz.session import fuzz
from loadtests.fuzz.stage import Stage
from loadtests.fuzz.talks import Talk
from tests.gateway.drop import Drop

REQUESTS = 2_000
SECONDS_MAX = 240.0
"""Beyond this a run is broken off, and fails for it."""


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return replace(settings, redis_url=redis_url, database_url=database_url, user_requests_per_second=0)


async def test_a_short_run_of_every_kind(drop: Drop, seed: int) -> None:
    stage = Stage(drop.settings, "127.0.0.1", drop.port, seed)
    await stage.open()
    said: list[str] = []
    async with running(writer_services(drop.stores, drop.settings)):
        outcome = await fuzz(stage, seed, REQUESTS, 4, SECONDS_MAX, 0, said.append)
    assert not outcome.wrong, table(outcome)
    assert set(outcome.judge.requests) == {*KINDS, "control"}
    assert outcome.judge.controls == REQUESTS // 1_000
    assert outcome.judge.claimed > 100
    assert f"seed {seed}: all as it has to be" in table(outcome)


KIT = Kit("c", "w", "a", "u-", lambda user: f"ticket-of-{user}", lambda sub, scope, role: f"{sub}.{scope}.{role}")
DOCUMENTED = {"invalid_request": 400, "unauthenticated": 401, "internal": 500, "busy": 503, "timeout": 408}


def answer(
    status: int, code: str = "", *, request_id: str = "1", is_last: bool = False, claimed: bool = False
) -> Answer:
    body = b'{"status":"claimed"}' if claimed else b"{}"
    return Answer(status, code or str(status), {b"x-request-id": request_id.encode()}, body, is_last)


def found(case: Case, *answers: Answer, has_ended: bool = False, flaw: str = "") -> set[str]:
    """What the judge finds wrong with these answers, without the particulars."""
    judge = Judge(DOCUMENTED)
    judge.hear(Talk([case], list(answers), has_ended, 0.1, flaw))
    assert sum(judge.wrong.values()) == len(judge.findings)
    return {finding.what.partition(":")[0] for finding in judge.findings}


BAD_CLAIM = one(1, "k", b"", frozenset({"invalid_request"}))
GOOD_CLAIM = one(1, "k", b"", frozenset({"201"}), may_claim=True)
MALFORMED = Case(1, "k", b"", (), End.MALFORMED)
CHUNKS = Case(1, "k", b"", (Want(request_id=b"1", may_claim=True, may_end=True),), End.MALFORMED)
HALF = Case(1, "k", b"", (), End.INCOMPLETE)


def test_what_the_judge_is_content_with() -> None:
    refusal, last = answer(400, "invalid_request"), answer(400, "invalid_request", request_id="x", is_last=True)
    assert found(BAD_CLAIM, refusal) == set()
    assert found(BAD_CLAIM, answer(503, "busy")) == set()
    assert found(GOOD_CLAIM, answer(201, claimed=True)) == set()
    assert found(MALFORMED, last, has_ended=True) == set()
    assert found(CHUNKS, last, has_ended=True) == set()
    assert found(CHUNKS, answer(201, claimed=True), last, has_ended=True) == set()
    assert found(HALF, has_ended=True) == set()
    assert found(HALF, answer(408, "timeout", is_last=True), has_ended=True) == set()


def test_what_the_judge_finds() -> None:
    refusal, last = answer(400, "invalid_request"), answer(400, "invalid_request", request_id="x", is_last=True)
    grant, stray = answer(201, claimed=True), answer(201, request_id="x", claimed=True)
    assert found(BAD_CLAIM, answer(500, "internal")) >= {"500", "code"}
    assert found(BAD_CLAIM, grant) == {"executed", "code"}
    assert found(BAD_CLAIM, answer(400, "mystery")) == {"undocumented", "code"}
    assert found(BAD_CLAIM, answer(404, "invalid_request")) == {"undocumented"}
    assert found(BAD_CLAIM, answer(400, "invalid_request", request_id="2")) == {"desync"}
    assert found(BAD_CLAIM, refusal, refusal) == {"desync"}
    assert found(BAD_CLAIM, answer(400, "invalid_request", is_last=True), has_ended=True) == {"closed"}
    assert found(BAD_CLAIM) == {"hang"}
    assert found(MALFORMED, answer(408, "timeout", is_last=True), has_ended=True) == {"slow"}
    assert found(BAD_CLAIM, refusal, flaw="no answer: x") == {"form"}
    assert found(GOOD_CLAIM, refusal) == {"code"}
    assert found(MALFORMED, has_ended=True) == {"hang"}
    assert found(MALFORMED, last) == {"hang"}  # and the connection stays open
    assert found(MALFORMED, stray, last, has_ended=True) == {"executed", "desync"}
    assert found(CHUNKS, grant, stray, has_ended=True) == {"executed", "desync"}


@pytest.mark.parametrize(
    ("data", "requests", "end"),
    [
        (b"", 0, End.CLEAN),
        (b"\r\n", 0, End.CLEAN),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, End.CLEAN),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nx", 1, End.CLOSED),
        (b"GET / HTTP/1.0\r\n\r\nx", 1, End.CLOSED),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET", 1, End.INCOMPLETE),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabc", 0, End.INCOMPLETE),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n",
            1,
            End.CLEAN,
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 0, End.MALFORMED),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", 0, End.INCOMPLETE),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0, End.MALFORMED),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            0,
            End.MALFORMED,
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 0, End.MALFORMED),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 0, End.MALFORMED),
        (b"GET / HTTP/1.1\r\n\r\n", 0, End.MALFORMED),
        (b"GET / HTTP/1.1\nHost: a\n\n", 0, End.MALFORMED),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 0, End.MALFORMED),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n", 0, End.MALFORMED),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 0, End.MALFORMED),
    ],
)
def test_the_strict_reader(data: bytes, requests: int, end: End) -> None:
    reading = read(data)
    assert (len(reading.requests), reading.end) == (requests, end)


def test_a_claim_in_a_body_is_no_request_to_the_strict_reader() -> None:
    inner = KIT.claim("inner", b"inner")
    outer = KIT.claim("outer", b"outer", framing=b"Content-Length: %d\r\n" % len(inner), body=b"") + inner
    case = by_reading(1, "k", outer, KIT)
    assert [want.request_id for want in case.wants] == [b"outer", b"1-behind"]


def test_a_case_can_be_made_again(seed: int) -> None:
    kinds: Counter[str] = Counter()
    for number in range(300):
        case = make_case(seed, number, KIT)
        assert case == make_case(seed, number, KIT)
        kinds[case.kind] += 1
    assert len(kinds) > len(KINDS) // 2


def test_answers_are_taken_apart_one_by_one() -> None:
    first = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nX-Request-Id: 1\r\n\r\n"
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    taken = take_answer(first + second, 0, to_head=False)
    assert taken is not None
    assert (taken[0].status, taken[0].request_id, taken[0].is_last) == (404, b"1", False)
    assert taken[0].flaw  # an error that is no problem
    last = take_answer(first + second, taken[1], to_head=False)
    assert last is not None
    assert (last[0].status, last[0].is_last, last[1]) == (200, True, len(first + second))
    assert take_answer(second[:-1], 0, to_head=False) is None

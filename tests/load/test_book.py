"""What a load test finds wrong in what its users were told, and what it lets pass."""

import random

import pytest

from loadtests.swarm.answers import NEW, NO_ANSWER, REPEATED, Told, ToldClaim, read_claim_answer
from loadtests.swarm.book import Book, Sample, Standing
from loadtests.swarm.tally import Checks, Tally, parts_of
from loadtests.swarm.verdict import BROKEN, KEPT, NOT_KNOWN, Seen, judge

CLAIM = ToldClaim("c-1", "w", "a", "CODE1", 1_000)
OTHER = ToldClaim("c-2", "w", "a", "CODE2", 1_000)
SEEN = Seen(0, 2_000, {"a": 2, "b": 1}, {"a": 0, "b": 0}, {"a": 2, "b": 1})
AUDIT = {"findings": [{"promise": "P1", "held": True, "figures": "3 claims", "examples": []}]}


def granted(code: str = NEW, claim: ToldClaim = CLAIM) -> Told:
    return Told(code, 201 if code == NEW else 200, claim, is_final=True)


def refused(code: str, *, is_final: bool = True) -> Told:
    return Told(code, 409, is_final=is_final)


class Desk:
    """One user's answers, put into a book as they come."""

    def __init__(self, *, is_fresh: bool = True) -> None:
        self.book = Book(7, is_fresh=is_fresh)
        self.user = Standing("u1", 0)
        self.is_first = True

    def hear(self, *answers: Told) -> list[str]:
        """What is wrong, as (promise) (kind) lines."""
        for told in answers:
            asking = self.book.ask(self.user, "w", ("a", "b"), is_first=self.is_first)
            self.is_first = False
            self.book.hear(asking, told)
        return list(self.book.wrong.lines())


@pytest.mark.parametrize(
    "answers",
    [
        [granted()],
        [granted(), granted(REPEATED), granted(REPEATED)],
        [Told(NO_ANSWER), granted(REPEATED)],
        [Told(NO_ANSWER), granted(), refused("busy", is_final=False), refused("too_many_requests", is_final=False)],
        [refused("not_open", is_final=False), granted()],
        [refused("sold_out"), refused("sold_out")],
    ],
)
def test_what_a_user_may_be_told(answers: list[Told]) -> None:
    assert Desk().hear(*answers) == []


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([granted(), granted(REPEATED, OTHER)], "P2 1 users who were told of two different claims"),
        ([granted(), granted(REPEATED, CLAIM._replace(code="ANOTHER"))], "P2 1 users who were told of two different"),
        ([granted(), granted()], "P5 1 requests that were granted as new more than once"),
        ([granted(), refused("sold_out")], "P5 1 granted requests that were refused when repeated: u1 (sold_out)"),
        ([granted(), refused("paused", is_final=False)], "P5 1 granted requests that were refused when repeated"),
        ([granted(REPEATED)], "P5 1 first requests that were answered as repeats"),
        ([granted(NEW, CLAIM._replace(offer="c"))], "P9 1 claims told for another wave or offer than was asked for"),
    ],
)
def test_what_contradicts_itself(answers: list[Told], found: str) -> None:
    (line,) = Desk().hear(*answers)
    assert line.startswith(found)
    assert "CODE" not in line


def test_a_refusal_on_its_way_while_the_claim_was_granted_is_none() -> None:
    """Two requests at once: the answer that overtakes says nothing about the one that was sent before."""
    desk = Desk()
    early = desk.book.ask(desk.user, "w", ("a",), is_first=False)
    assert desk.hear(granted()) == []
    assert desk.book.hear(early, refused("paused", is_final=False)) == ""


def test_accounts_that_are_not_fresh_may_hold_a_claim() -> None:
    assert Desk(is_fresh=False).hear(granted(REPEATED)) == []


@pytest.mark.parametrize(
    ("answers", "shown", "found"),
    [
        ([granted()], [CLAIM], ""),
        ([granted()], [], "P3 1 acknowledged claims that the user's own claims do not show: u1"),
        (
            [granted()],
            [CLAIM._replace(code="ANOTHER")],
            "P3 1 acknowledged claims that the user's own claims show otherw",
        ),
        ([granted()], [CLAIM, OTHER], "P2 1 users who were told of two different claims"),
        ([refused("sold_out")], [], ""),
        ([refused("sold_out")], [CLAIM], "P9 1 users who were refused for good and hold a claim: u1 (sold_out)"),
        ([Told(NO_ANSWER), refused("sold_out")], [CLAIM], ""),
        ([refused("already_claimed")], [CLAIM], ""),
        ([refused("already_claimed")], [], "P9 1 users who were told that they had claimed and hold nothing: u1"),
        ([Told(NO_ANSWER)], [CLAIM], ""),
    ],
)
def test_own_claims_against_what_was_told(answers: list[Told], shown: list[ToldClaim], found: str) -> None:
    desk = Desk()
    desk.hear(*answers)
    desk.book.see_own_claims(desk.user, shown)
    assert "".join(desk.book.wrong.lines()).startswith(found)
    assert bool(desk.book.wrong) is bool(found)


def tally_of(*books: Book, silent: int = 0) -> Tally:
    tally = Tally()
    for worker, book in enumerate(books):
        for part in parts_of(book, Checks(silent=silent)):
            tally.add(worker, part)
    return tally


def book_of(account: str, *answers: Told) -> Book:
    desk = Desk()
    desk.user = Standing(account, 0)
    assert desk.hear(*answers) == []
    desk.book.end(desk.user)
    return desk.book


def test_books_that_agree_with_all_others() -> None:
    tally = tally_of(book_of("u1", granted()), book_of("u2", granted(NEW, OTHER)), book_of("u3", refused("sold_out")))
    verdict = judge(tally, SEEN, SEEN, AUDIT, [])
    assert (verdict.word, verdict.status, verdict.broken) == ("KEPT", KEPT, ())
    assert "claims told, by worker: 0: 1, 1: 1, 2: 0" in verdict.looked_at


def test_a_code_that_users_of_two_workers_were_given() -> None:
    verdict = judge(tally_of(book_of("u1", granted()), book_of("u2", granted())), SEEN, SEEN, AUDIT, [])
    assert verdict.status == BROKEN
    assert verdict.broken == ("P1 1 codes that two users were given: u1 and u2",)


LEFT = SEEN._replace(left={"a": 0, "b": 1})


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (SEEN, SEEN._replace(stock={"a": 1, "b": 1}), ""),  # some was taken away, behind the claims
        (
            SEEN._replace(stock={"a": 1}),
            SEEN._replace(stock={"a": 1}),
            "P1 1 claims told above the stock of their offer",
        ),
        (
            SEEN,
            SEEN._replace(claimed={"a": 1, "b": 1}),
            "P3 1 acknowledged claims that the installation does not count",
        ),
        (SEEN, LEFT, "P9 1 answers `sold_out` while units were left: 1 of b"),
        (SEEN._replace(stock={"a": 2, "b": 0}), LEFT, ""),  # restocked since
        (SEEN._replace(opens_ms=1_001), SEEN._replace(opens_ms=1_001), "P6 2 claims told with an instant outside"),
        (SEEN, SEEN._replace(opens_ms=1_001), ""),  # moved
        (SEEN._replace(closes_ms=1_000), SEEN._replace(closes_ms=1_000), "P6 2 claims told with an instant outside"),
    ],
)
def test_books_against_what_operators_see(before: Seen, after: Seen, found: str) -> None:
    tally = tally_of(book_of("u1", granted()), book_of("u2", granted(NEW, OTHER)), book_of("u3", refused("sold_out")))
    verdict = judge(tally, before, after, AUDIT, [])
    assert "".join(verdict.broken).startswith(found)
    assert bool(verdict.broken) is bool(found)


def test_the_audit_breaks_a_run() -> None:
    finding = {"promise": "P3", "held": False, "figures": "1 claim is gone", "examples": ["claim c-1"]}
    verdict = judge(tally_of(book_of("u1", granted())), SEEN, SEEN, {"findings": [finding]}, [])
    assert verdict.broken == ("audit: P3 acknowledged claims are kept: BROKEN: 1 claim is gone; claim c-1",)


@pytest.mark.parametrize(
    ("tally", "missing"),
    [
        (tally_of(book_of("u1", granted())), ["no audit: busy"]),
        (tally_of(book_of("u1", granted()), silent=3), []),
        (tally_of(book_of("u1", refused("busy", is_final=False))), []),  # nothing was decided
        (Tally(), []),
    ],
)
def test_what_could_not_be_looked_at_is_not_held_to_be_kept(tally: Tally, missing: list[str]) -> None:
    verdict = judge(tally, SEEN, None, None, missing)
    assert (verdict.word, verdict.status) == ("NOT KNOWN", NOT_KNOWN)


def test_a_sample_is_even(seed: int) -> None:
    sample = Sample(100, random.Random(seed))
    for number in range(10_000):
        sample.offer(Standing("u", number))
    assert (len(sample.kept), sample.offered) == (100, 10_000)
    assert 3_000 < sum(standing.number for standing in sample.kept) / 100 < 7_000  # six standard deviations


def test_answers_are_read_as_they_are() -> None:
    assert read_claim_answer(0, None) == Told(NO_ANSWER)
    assert read_claim_answer(502, b"<html>").code == "status_502"
    assert read_claim_answer(201, b'{"status": "claimed"}').code == "malformed"
    busy = read_claim_answer(503, b'{"code": "busy", "final": false, "retry_after_ms": 350}')
    assert (busy.code, busy.is_final, busy.retry_after_ms) == ("busy", False, 350)
    body = (
        b'{"claim": {"id": "c-1", "wave": "w", "offer": "a", "claimed_at": "1970-01-01T08:00:01.000+08:00",'
        b' "terms": {"version": 1, "hash": "ab"}, "vouchers": [{"code": "CODE1"}]}}'
    )
    assert read_claim_answer(201, body) == granted(claim=CLAIM._replace(terms="1 ab"))

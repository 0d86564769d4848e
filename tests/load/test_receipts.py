"""What a load test finds wrong in what tills were told of a voucher, and in the installation's statement."""

from typing import Any

import pytest

from loadtests.swarm.answers import NO_ANSWER, Told, ToldClaim
from loadtests.swarm.contradictions import Contradictions
from loadtests.swarm.receipts import Receipts, Sales, Sums
from loadtests.swarm.tally import Tally
from loadtests.swarm.till_answers import Heard, Redemption
from loadtests.swarm.verdict import BROKEN, KEPT, NOT_KNOWN, Booked, Seen, judge

CLAIM = ToldClaim("c-1", "w", "a", "CODE1", 1_000, "1 ab")
ASKED = {"code": "code-1", "store": "s", "amount": 4_000, "request_no": "r-1"}
REFUND = {"by": "merchant", "completed": False, "request_no": "r-2"}
SEEN = Seen(0, 2_000, {"a": 2}, {"a": 0}, {"a": 2})


def redeemed(status: int = 201, **other: Any) -> Heard:
    told = {
        "id": "r-00", "code": "CODE1", "store": "s", "request_no": "r-1", "amount": 4_000, "discount": 1_000,
        "due": 3_000, "terms": {"version": 1, "hash": "ab"},
    }  # fmt: skip
    return Heard(Told("ok", status), {"redemption": told | other})


def reversed_(**other: Any) -> Heard:
    told = {"id": "b-00", "redemption": "r-00", "amount": 4_000, "discount": 1_000, "given_back": True}
    return Heard(Told("ok", 201), {"reversal": told | other})


def refused(code: str, *, had_no_answer: bool = False) -> Heard:
    return Heard(Told(code, 409), {"code": code}, had_no_answer)


@pytest.fixture
def receipts() -> Receipts:
    return Receipts("u1", CLAIM, Sales(Contradictions()))


def found(receipts: Receipts) -> list[str]:
    return list(receipts.sales.wrong.lines())


def test_a_voucher_that_is_used_refunded_and_used_again(receipts: Receipts) -> None:
    first = receipts.hear_redemption(ASKED, 1_000, redeemed())
    assert receipts.hear_redemption(ASKED, 1_000, redeemed(200)) == first
    receipts.expect("already_redeemed", refused("already_redeemed"))
    assert first is not None
    assert receipts.hear_reversal(REFUND, first, reversed_()) is not None
    assert not receipts.is_used
    receipts.sales.has_new_terms = True
    receipts.hear_redemption(ASKED | {"request_no": "r-3"}, 1_000, redeemed(id="r-01", request_no="r-3"))
    assert receipts.is_used
    assert found(receipts) == []
    assert receipts.sales.sums == Sums(redemptions=2, discount=2_000, given_back=1, taken_back=1_000)
    assert receipts.sales.replaced == 1


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([redeemed(), redeemed(200, id="r-01")], "P8 1 vouchers that were redeemed twice: u1"),
        ([redeemed(), redeemed()], "P5 1 requests of tills that were done as new more than once: u1"),
        ([redeemed(), redeemed(200, discount=999, due=3_001)], "P5 1 redemptions that were told otherwise"),
        ([redeemed(terms={"version": 2, "hash": "cd"})], "P8 1 redemptions by other terms than the claim's: u1"),
        ([redeemed(discount=500, due=3_500)], "P8 1 redemptions with another discount than was promised: u1 (500 of"),
        ([redeemed(due=2_000)], "P8 1 redemptions with another discount than was promised"),
        ([redeemed(store="t")], "P9 1 redemptions told for another payment than was asked for: u1 (t)"),
        ([refused("wrong_store")], "P8 1 vouchers that a till refused though they could be used: u1 (wrong_store)"),
        ([Heard(Told("ok", 201), {})], "P9 1 answers to tills that cannot be read: u1 (201)"),
        ([refused("busy")], ""),
        ([refused(NO_ANSWER, had_no_answer=True), refused("already_redeemed")], ""),
    ],
)
def test_what_a_till_is_told_that_asks_for_one_voucher(receipts: Receipts, answers: list[Heard], words: str) -> None:
    for heard in answers:
        receipts.hear_redemption(ASKED, 1_000, heard)
    assert "".join(found(receipts)[:1]).startswith(words)
    assert bool(found(receipts)) is bool(words)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([redeemed(), refused("already_redeemed"), refused("busy")], ""),
        ([redeemed(), redeemed(id="r-01", request_no="r-9")], "P8 1 vouchers that were redeemed twice"),
        ([refused("already_redeemed"), refused("already_redeemed")], "P8 1 vouchers at many tills at once that none"),
        ([refused("already_redeemed"), refused(NO_ANSWER, had_no_answer=True)], ""),
        ([redeemed(), refused("expired")], "P8 1 vouchers that a till refused though they could be used: u1 (expired)"),
    ],
)
def test_what_many_tills_at_once_are_told(receipts: Receipts, answers: list[Heard], words: str) -> None:
    receipts.hear_many(answers)
    assert "".join(found(receipts)).startswith(words)
    assert bool(found(receipts)) is bool(words)


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        (refused("locked"), ""),
        (refused("busy"), ""),
        (refused("expired"), "P9 1 tills that got another answer than the true one: u1 (expired instead of locked)"),
        (redeemed(), "P9 1 tills that got another answer than the true one: u1 (ok instead of locked)"),
    ],
)
def test_what_has_to_be_refused(receipts: Receipts, heard: Heard, words: str) -> None:
    receipts.expect("locked", heard)
    assert "".join(found(receipts)) == words


@pytest.mark.parametrize(
    ("asked", "heard", "words"),
    [
        (
            REFUND,
            reversed_(given_back=False),
            "P8 1 refunds that are not as asked for: u1 (1000 of 4000, given back: F",
        ),
        (REFUND, reversed_(discount=999), "P8 1 refunds that are not as asked for"),
        (REFUND | {"by": "user"}, reversed_(), "P8 1 refunds that are not as asked for"),
        (REFUND, refused("already_reversed"), "P8 1 redemptions that could not be refunded: u1 (already_reversed)"),
        (REFUND, refused("busy"), ""),
    ],
)
def test_what_comes_of_a_refund(receipts: Receipts, asked: dict[str, Any], heard: Heard, words: str) -> None:
    redemption = receipts.hear_redemption(ASKED, 1_000, redeemed())
    assert isinstance(redemption, Redemption)
    receipts.hear_reversal(asked, redemption, heard)
    assert "".join(found(receipts)).startswith(words)
    assert bool(found(receipts)) is bool(words)


def tally_of(sums: Sums, still_open: int) -> Tally:
    tally = Tally()
    tally.answers["claimed"] = 1
    row = Sales(Contradictions()).as_row() | {"sums": list(sums), "open": still_open}
    for _ in range(2):  # two workers
        tally.sales.add_row(row)
    return tally


@pytest.mark.parametrize(
    ("booked", "still_open", "is_own", "words"),
    [
        (Sums(4, 400, 2, 0, 200), 0, True, ""),
        (Sums(3, 400, 2, 0, 200), 0, True, "P8 1 redemptions and refunds told that the statement does not have: redem"),
        (Sums(5, 400, 2, 0, 200), 0, True, "P8 1 redemptions and refunds of the statement that no till was told of"),
        (Sums(5, 500, 2, 0, 200), 1, True, ""),
        (Sums(9, 900, 2, 0, 200), 0, False, ""),
        (Sums(4, 400, 1, 0, 100), 0, False, "P8 1 redemptions and refunds told that the statement does not have: give"),
        (Sums(4, 399, 2, 0, 200), 0, True, "P8 1 minor units by which the statement differs from what tills were told"),
        (Sums(4, 400, 2, 0, 250), 0, True, "P8 50 minor units by which the statement differs"),
    ],
)
def test_tills_against_the_statement(booked: Sums, still_open: int, is_own: bool, words: str) -> None:
    before = Sums(10, 1_000, 0, 3, 7)
    tally = tally_of(Sums(2, 200, 1, 0, 100), still_open)
    verdict = judge(tally, SEEN, None, None, [], Booked(before, before.plus(booked), is_own))
    assert "".join(verdict.broken).startswith(words)
    assert verdict.status == (BROKEN if words else KEPT)
    assert any(line.startswith("P8 ") for line in verdict.looked_at) is not bool(words)


def test_shops_in_which_nothing_was_redeemed_put_nothing_to_the_test() -> None:
    verdict = judge(tally_of(Sums(), 0), SEEN, None, None, [], Booked(Sums(), Sums(), is_own=True))
    assert verdict.status == NOT_KNOWN
    assert "no voucher was redeemed, so P8 was not put to the test" in verdict.not_known

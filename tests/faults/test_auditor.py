"""The auditor of the chaos runs notices what it is there for: books and ledgers that contradict each other."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from loadtests.chaos.auditor import Apart, Auditor, Judgement, Loss
from loadtests.chaos.book import Answer, Book, Entry, Held, Key, Listed, Request
from loadtests.chaos.ledger import Ledger, Settled, SettledAct
from loadtests.chaos.workload import PROBE, Plan

WAVE, OTHER, SHORT = "w1", "w2", "w3"
PLAN = Plan(
    campaign="c",
    limits=((1, "wave"),),
    by="account",
    stocks=((WAVE, (("tea", 1), (PROBE, 9))), (OTHER, (("tea", 1),)), (SHORT, (("tea", 1),))),
    users=(),
    acts=(),
    seed="s",
    number=1,
)
KEY = Key("ann", WAVE, 1)
HELD = Held("c-1", "CODE1", WAVE, "tea", 5)
SETTLED = Settled(1, 5, WAVE, "tea", 1, 1, "ann", "ann", "CODE1", 11.0)
GRANTED = Answer("claimed", HELD, ack="logged")


def entry(
    answer: Answer,
    sent_s: float,
    answered_s: float,
    key: Key = KEY,
    offers: tuple[str, ...] = ("tea",),
    gateway: str = "gateway-1",
) -> Entry:
    return Entry(Request(key, key.account, offers, gateway), sent_s, (), answered_s, answer)


def judged(
    entries: Sequence[Entry],
    claims: Sequence[Settled] = (),
    *,
    acts: Sequence[SettledAct] = (),
    losses: Sequence[Loss] = (),
    apart: Sequence[Apart] = (),
    listed: Sequence[Listed] = (),
    ack: str = "logged",
) -> Judgement:
    book = Book()
    for each in entries:
        book.entries.append(each)
        book.of[each.request.key.account].append(each)
    book.listed.extend(listed)
    stocks = {(WAVE, "tea"): len([1 for claim in claims if claim.wave == WAVE]) or 0}
    kept = Ledger(tuple(claims), tuple(acts), stocks)
    auditor = Auditor(PLAN, book, kept, ack, losses, 10.0, clocks_agree=True, apart=apart)
    auditor.set_wall_clock(10.0)
    return auditor.judge()


def wrong(judgement: Judgement) -> list[str]:
    return [f"{each.promise} {each.what}" for each in judgement.contradictions]


def test_a_claim_that_was_acknowledged_and_settled_is_right() -> None:
    judgement = judged([entry(GRANTED, 11, 11.1)], [SETTLED])
    assert wrong(judgement) == []
    assert judgement.acknowledged == 1


def test_an_acknowledged_claim_that_is_gone() -> None:
    judgement = judged([entry(GRANTED, 11, 11.1)])
    assert wrong(judgement) == ["P3 c-1 was acknowledged and is not in the ledger"]
    assert judgement.lost == 1


@pytest.mark.parametrize(
    ("ack", "since_s", "is_wrong"), [("logged", 11.0, False), ("logged", 11.5, True), ("settled", 11.0, True)]
)
def test_a_loss_that_the_level_allows(ack: str, since_s: float, is_wrong: bool) -> None:
    """Only what was acknowledged behind the point that was gone back to, and only below the level that survives."""
    granted = entry(replace(GRANTED, ack=ack), 11, 11.1)
    judgement = judged([granted], losses=[Loss("snapshot", "settled", since_s, 13)], ack=ack)
    assert bool(judgement.contradictions) is is_wrong
    assert judgement.lost == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("busy", ["P9 w1 no 1: surely not decided, and granted"]),
        ("closed", ["P9 w1 no 1: surely not decided, and granted", "P6 closed, before the close"]),
        ("outcome_unknown", []),
        ("no_answer", []),
    ],
)
def test_a_claim_whose_user_heard_something_else(code: str, said: list[str]) -> None:
    assert wrong(judged([entry(Answer(code), 11, 11.1)], [SETTLED])) == said


def test_unknown_answers_are_counted_by_how_they_ended() -> None:
    granted = judged([entry(Answer("outcome_unknown"), 11, 11.1), entry(GRANTED, 12, 12.1)], [SETTLED])
    refused = judged([entry(Answer("no_answer"), 11, 11.1), entry(Answer("cap_reached"), 12, 12.1)])
    assert (dict(granted.unknown), dict(refused.unknown)) == ({"granted": 1}, {"refused": 1})


def test_another_claim_for_the_same_request() -> None:
    other = replace(GRANTED, claim=replace(HELD, id="c-2", code="CODE2", sequence=6))
    settled = [SETTLED, replace(SETTLED, sequence=6, unit=2, code="CODE2")]
    judgement = judged([entry(GRANTED, 11, 11.1), entry(other, 12, 12.1)], settled)
    assert wrong(judgement) == [
        "P5 w1 no 1 was granted 2 times",
        "P5 c-1 was held, and another one was answered",
        "P2 2 claims of ann, 1 per wave are allowed",
    ]


def test_a_held_claim_that_is_refused() -> None:
    entries = [entry(GRANTED, 11, 11.1), entry(Answer("sold_out"), 12, 12.1)]
    assert wrong(judged(entries, [SETTLED])) == ["P5 c-1 was held, and sold_out was answered"]


@pytest.mark.parametrize(("until_s", "is_wrong"), [(12.0, False), (11.5, True)])
def test_a_gateway_that_was_apart(until_s: float, is_wrong: bool) -> None:
    """What it grants is lost, what others have granted it refuses and does not list: in that time, and only it."""
    other = replace(GRANTED, claim=replace(HELD, id="c-2", code="CODE2", sequence=6))
    apart = [entry(other, 12, 12.1), entry(Answer("sold_out"), 12, 12.1)]
    losses = [Loss("promoted", "replicated", 11.5, 12.5)]
    judgement = judged(
        [entry(GRANTED, 11, 11.1, gateway="gateway-2"), *apart],
        [SETTLED],
        losses=losses,
        apart=[Apart("gateway-1", 11.2, until_s)],
        listed=[Listed("ann", 12.0, (), "gateway-1")],
    )
    assert judgement.lost == 1
    assert wrong(judgement) == is_wrong * [
        "P5 c-1 was held, and another one was answered",
        "P5 c-1 was held, and sold_out was answered",
        "P3 c-1 is missing on the list of one's own",
    ]


def test_a_gateway_that_was_apart_tells_of_no_other_claim() -> None:
    other = replace(GRANTED, claim=replace(HELD, id="c-2", code="CODE2", sequence=6))
    apart = [Apart("gateway-1", 11.2, 13)]
    judgement = judged([entry(GRANTED, 11, 11.1), entry(other, 12, 12.1)], [SETTLED], apart=apart)
    assert "P5 c-1 was held, and another one was answered" in wrong(judgement)


def test_a_claim_that_is_new_twice() -> None:
    assert wrong(judged([entry(GRANTED, 11, 12), entry(GRANTED, 11, 12)], [SETTLED])) == ["P5 c-1 was new 2 times"]


def test_a_claim_of_nobody() -> None:
    assert wrong(judged([], [SETTLED])) == ["P9 w1 no 1 was granted to nobody who asked"]


def test_sold_out_with_units_left() -> None:
    assert wrong(judged([entry(Answer("sold_out"), 11, 11.1)])) == ["P9 tea sold out with 0 of 1 given"]


def test_a_refusal_that_cannot_be() -> None:
    assert wrong(judged([entry(Answer("unknown_wave"), 11, 11.1)])) == ["P9 refused with unknown_wave"]


def test_not_open_after_the_opening() -> None:
    assert wrong(judged([entry(Answer("not_open"), 9.0, 9.1), entry(Answer("not_open"), 11, 11.1)])) == [
        "P6 not open, after the opening"
    ]


def test_a_claim_in_a_pause() -> None:
    acts = [SettledAct(1, 4, "pause", WAVE), SettledAct(1, 6, "resume", WAVE)]
    assert wrong(judged([entry(GRANTED, 11, 11.1)], [SETTLED], acts=acts)) == ["P6 #5 was granted in a pause"]


def test_a_list_of_claims_that_lacks_one() -> None:
    listed = [Listed("ann", 12.0, (), "gateway-1")]
    assert wrong(judged([entry(GRANTED, 11, 11.1)], [SETTLED], listed=listed)) == [
        "P3 c-1 is missing on the list of one's own"
    ]


def test_a_claim_before_it_was_asked_for() -> None:
    early = replace(SETTLED, claimed_at_s=10.1)
    assert wrong(judged([entry(GRANTED, 11, 11.1)], [early])) == ["P9 w1: claimed before it was asked for"]


def test_an_answer_with_another_ack() -> None:
    answer = replace(GRANTED, ack="memory")
    assert wrong(judged([entry(answer, 11, 11.1)], [SETTLED])) == ["P3 c-1 was answered with ack memory"]

"""The steps in the lives of vouchers: what the books say before one, and taking it.

A look changes nothing and locks nothing. Whoever has decided by what it saw hands the step over to `take`, one
statement for a whole batch: it changes the vouchers that are still as they were seen, and tells which. So it is one
statement that decides, however many processes look at the same time, and whoever lost looks again.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec import Struct

from engine.domain.redemption import Line, Made, Standing
from engine.domain.voucher import Kept, Period, StepKind
from engine.ledger.database import Ledger
from engine.ledger.instants import instant, unix_ms
from engine.ledger.queries import load_queries

_SQL = load_queries("voucher_steps")

VoucherKey = tuple[int, str]
"""(campaign_no, code)."""
StepKey = tuple[int, str, int]
"""(campaign_no, code, step)."""


class ShownLine(Struct, frozen=True):
    """A line of an order as it is remembered: what was due, and its share of the discount."""

    amount: int
    discount: int
    id: str = ""


class Question(Struct, frozen=True):
    """What a till wants to know: of a code, of the merchant's request (`request_id`), of a payment (empty: none)."""

    code: str
    request: str
    merchant: str
    payment_no: str


class Step(Struct, frozen=True):
    """A step that a merchant's request took, or is to take: the `step`th of its voucher."""

    campaign_no: int
    code: str
    step: int
    kept: Kept
    """The voucher's state after it; of a step that is read back, not told."""
    kind: StepKind
    at_ms: int
    offer_no: int
    terms_version: int
    digest: bytes
    merchant: str
    store: str
    clerk: str
    order_no: str
    payment_no: str
    payment_place: int
    amount: int
    discount: int
    lines: tuple[ShownLine, ...]
    request: str
    request_no: str
    day: str
    """ISO date in the campaign's zone."""
    until_ms: int = 0
    """lock: its end, exclusive."""
    of_step: int = 0
    """release: the lock; refund, give_back: the redemption."""
    by: str = ""
    """refund, give_back: `merchant` or `user`, who wanted it."""
    is_completed: bool | None = None
    """refund, give_back: whether the order was completed."""
    before_ms: int = 0
    """By when of the ledger's clock the step has to be there, exclusive; 0: whenever. Of one read back, not told."""

    @property
    def key(self) -> VoucherKey:
        """The voucher's."""
        return self.campaign_no, self.code


class Entry(Struct, frozen=True):
    """What the books say to a question, at `now_ms` of the ledger's clock."""

    now_ms: int
    campaign_no: int | None
    """None where no campaign has codes that begin so."""
    campaign: str
    standing: Standing | None
    """None where there is no such voucher, or none yet."""
    quarantined: str
    """`held` or `voided`, of a code that is in quarantine; else empty."""
    ended_reason: str
    ended_ms: int
    places_taken: frozenset[int]
    """Of the payment, by vouchers of the campaign."""
    known: Step | None
    """What the request did, where it has done something."""


_LINES = msgspec.json.Decoder(tuple[ShownLine, ...])


def shown_lines(lines: Sequence[Line], shares: Sequence[int]) -> tuple[ShownLine, ...]:
    """The lines of an order with their shares of the discount."""
    return tuple(ShownLine(line.amount, share, line.id) for line, share in zip(lines, shares, strict=True))


async def look_up(ledger: Ledger, questions: Sequence[Question]) -> list[Entry]:
    """The answers of the books, in the order of the questions. Raises LedgerError."""
    rows = await ledger.fetch(
        _SQL["look_up"],
        [each.code for each in questions],
        [each.request for each in questions],
        [each.merchant for each in questions],
        [each.payment_no for each in questions],
    )
    return [_entry(row) for row in rows]


async def take(ledger: Ledger, steps: Iterable[Step]) -> set[VoucherKey]:
    """Take these steps, of a voucher each; which of them were taken. The others found their voucher changed.

    Raises LedgerRefused where a request has done something already, or a payment's place is taken (then nothing of all
    this was done), LedgerUnavailable where it is not known whether it was done: another look tells.
    """
    ordered = sorted(steps, key=lambda step: step.key)
    rows = await ledger.fetch(_SQL["take"], list(map(_row, ordered))) if ordered else []
    return {(row["campaign_no"], row["code"]) for row in rows}


async def step_of_request(ledger: Ledger, request: str) -> Step | None:
    """What the request of that name did, if it did anything. Raises LedgerError."""
    return (await steps_of_requests(ledger, [request])).get(request)


async def steps_of_requests(ledger: Ledger, requests: Sequence[str]) -> dict[str, Step]:
    """What those of these requests did that did anything; of none, nothing is asked. Raises LedgerError."""
    rows = await ledger.fetch(_SQL["steps_of_requests"], list(requests)) if requests else []
    return {step.request: step for step in map(_known, rows)}


async def reversals_of(ledger: Ledger, redemptions: Sequence[StepKey]) -> dict[StepKey, list[Step]]:
    """The reversals of each of these redemptions, oldest first. Raises LedgerError."""
    found: dict[StepKey, list[Step]] = {key: [] for key in redemptions}
    if found:
        columns = [list(column) for column in zip(*found, strict=True)]
        for row in await ledger.fetch(_SQL["reversals"], *columns):
            step = _known(row)
            found[step.campaign_no, step.code, step.of_step].append(step)
    return found


def _row(step: Step) -> tuple[Any, ...]:
    """In the order of the members of `asked_voucher_step` (migrations/0007_steps_as_rows.sql)."""
    return (
        step.campaign_no,
        step.code,
        step.step,
        step.kept,
        step.kind,
        instant(step.at_ms),
        step.offer_no,
        step.terms_version,
        step.request,
        step.digest,
        step.request_no or None,
        step.merchant,
        step.store,
        step.clerk,
        step.order_no or None,
        step.payment_no or None,
        step.payment_place or None,
        step.amount,
        step.discount,
        msgspec.json.encode(step.lines).decode() if step.lines else None,
        date.fromisoformat(step.day),
        instant(step.until_ms) if step.until_ms else None,
        step.of_step or None,
        step.by or None,
        step.is_completed,
        instant(step.before_ms) if step.before_ms else None,
    )


def _entry(row: Any) -> Entry:
    return Entry(
        now_ms=unix_ms(row["now"]),
        campaign_no=row["campaign_no"],
        campaign=row["campaign"] or "",
        standing=None if row["state"] is None or row["offer_no"] is None else standing_of(row),
        quarantined=row["quarantined"] or "",
        ended_reason=row["ended_reason"] or "",
        ended_ms=unix_ms(row["ended_at"]) if row["ended_at"] else 0,
        places_taken=frozenset(row["places"] or ()),
        known=None if row["known_code"] is None else _known(row),
    )


def standing_of(row: Any) -> Standing:
    """A voucher from the columns that `look_up` has of one."""
    return Standing(
        campaign_no=row["campaign_no"],
        code=row["asked_code"],
        wave_no=row["wave_no"],
        offer_no=row["offer_no"],
        terms_version=row["terms_version"],
        account=row["account"],
        claimed_at_ms=unix_ms(row["claimed_at"]),
        period=Period(unix_ms(row["valid_from"]), unix_ms(row["expires_at"])),
        kept=row["state"],
        step=row["step"],
        is_hidden=row["is_hidden"],
        made=made_of(row),
    )


def made_of(row: Any) -> Made | None:
    """The step that made a voucher what it is, from the columns `made_…`; None where there was none."""
    if row["made_kind"] is None:
        return None
    return Made(
        kind=row["made_kind"],
        at_ms=unix_ms(row["made_at"]),
        merchant=row["made_merchant"] or "",
        store=row["made_store"] or "",
        order_no=row["made_order_no"] or "",
        reason=row["made_reason"] or "",
        until_ms=unix_ms(row["made_until"]) if row["made_until"] else 0,
        step=row["made_step"],
    )


def _known(row: Any) -> Step:
    return Step(
        campaign_no=row["known_campaign_no"],
        code=row["known_code"],
        step=row["known_step"],
        kept="pending",
        kind=row["known_kind"],
        at_ms=unix_ms(row["known_at"]),
        offer_no=row["known_offer_no"],
        terms_version=row["known_terms_version"],
        digest=row["known_digest"],
        merchant=row["asked_merchant"],
        store=row["known_store"] or "",
        clerk=row["known_clerk"] or "",
        order_no=row["known_order_no"] or "",
        payment_no=row["known_payment_no"] or "",
        payment_place=0,
        amount=row["known_amount"] or 0,
        discount=row["known_discount"] or 0,
        lines=_LINES.decode(row["known_lines"]) if row["known_lines"] else (),
        request=row["asked_request"].hex,
        request_no=row["known_request_no"] or "",
        day="",
        until_ms=unix_ms(row["known_until"]) if row["known_until"] else 0,
        of_step=row["known_of_step"] or 0,
        by=row["known_by"] or "",
        is_completed=row["known_is_completed"],
    )

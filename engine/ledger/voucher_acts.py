"""What is done to a voucher outside of shops: its holder deletes it, or it is taken back.

Each is a step of the voucher like those of tills (`voucher_steps.py`): the row is changed where it is as it was seen,
else looked at again. Taking back stands in the campaign's audit trail, in the same transaction.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from engine.domain.codes import claim_id
from engine.domain.voucher import STEPS, Kept, State, StepKind
from engine.errors import ActOutrun
from engine.ledger.cards import CardRow, card_of_code, card_within
from engine.ledger.database import Ledger
from engine.ledger.instants import instant, unix_ms
from engine.ledger.queries import load_queries
from engine.ledger.trail import End, Happening, add_entries
from engine.ledger.voucher_steps import VoucherKey

_SQL = load_queries("voucher_acts")

TRIES_MAX: Final = 5
"""Looks at a voucher that changes each time before its step is taken. Whoever is faster is a till, and there is one."""
HISTORY_MAX: Final = 50
"""Steps that are shown of one voucher: an order that is locked and cancelled again and again makes many."""

Taking = Literal["invalidate", "cancel"]
"""How a voucher is taken back."""
TRAIL_KINDS: Final[Mapping[Taking, str]] = {"invalidate": "invalidate_voucher", "cancel": "cancel_voucher"}
"""Of the entries in the trail."""


class Acted(Struct, frozen=True):
    """How the voucher stood, and how it stands now; `done` is false where nothing was changed."""

    before: CardRow
    after: CardRow
    done: bool

    @property
    def state(self) -> State:
        """Its state before."""
        return self.before.standing.state_at(self.before.now_ms)


class PastStep(Struct, frozen=True):
    """One step that was taken. What does not belong to its kind is empty."""

    step: int
    kind: StepKind
    at_ms: int
    merchant: str
    store: str
    clerk: str
    order_no: str
    amount: int | None
    discount: int | None
    until_ms: int | None
    actor: str
    reason: str
    by: str


async def delete(ledger: Ledger, seen: CardRow) -> Acted:
    """Its holder wants to see it no more: a usable one becomes `deleted`, of any other the card is hidden.

    Nothing is changed where the table of steps has no such step (a locked one), or it is hidden already. Raises
    LedgerError; ActOutrun where it changed at every look.
    """
    before = seen
    for _ in range(TRIES_MAX):
        standing = seen.standing
        state = standing.state_at(seen.now_ms)
        if standing.is_hidden or (state, "delete") not in STEPS:
            return Acted(seen, seen, done=False)
        becomes = STEPS[state, "delete"]
        # What made it used or void stays what made it so: tills and reports go on telling it.
        made_by = standing.step + 1 if becomes == "deleted" else None
        rows = await ledger.fetch(_SQL["take"], *_step(seen, becomes, made_by, "delete", standing.account, ""))
        after = await card_of_code(ledger, standing.code)
        if after is None:
            break
        if rows:
            return Acted(before, after, done=True)
        seen = after
    raise ActOutrun("the voucher changed at every look: do it again")


async def take_back(ledger: Ledger, code: str, kind: Taking, actor: str, reason: str) -> Acted | None:
    """Take a voucher back for good; None where it is not settled. Nothing is changed where that is not possible in its
    state, or was done already.

    Raises LedgerError; ActOutrun where it changed at every look.
    """
    async with ledger.transaction() as connection:
        cursor = await connection.fetchrow(_SQL["hold_cursor"], code)
        for _ in range(TRIES_MAX if cursor is not None else 0):
            seen = await card_within(connection, code)
            if seen is None:
                return None
            becomes = STEPS.get((seen.standing.state_at(seen.now_ms), kind))
            if becomes is None:
                return Acted(seen, seen, done=False)
            taken = _step(seen, becomes, seen.standing.step + 1, kind, actor, reason)
            if not await connection.fetch(_SQL["take"], *taken):
                continue
            await _enter(connection, cursor, seen, becomes, kind, actor, reason)
            after = await card_within(connection, code)
            assert after is not None
            return Acted(seen, after, done=True)
    if cursor is None:
        return None
    raise ActOutrun("the voucher changed at every look: do it again")


async def history(ledger: Ledger, key: VoucherKey) -> list[PastStep]:
    """What was done with a voucher, oldest first: the newest HISTORY_MAX steps. Raises LedgerError."""
    rows = await ledger.fetch(_SQL["history"], *key, HISTORY_MAX)
    return [_past(row) for row in reversed(rows)]


def _step(
    seen: CardRow, becomes: Kept, made_by: int | None, kind: StepKind, actor: str, reason: str
) -> tuple[object, ...]:
    """In the order of the parameters of `take`. Without `made_by` what made its state is as before."""
    standing = seen.standing
    return (
        standing.campaign_no,
        standing.code,
        standing.step + 1,
        becomes,
        made_by,
        kind == "delete",
        kind,
        instant(standing.read_at(seen.now_ms)),
        standing.offer_no,
        standing.terms_version,
        actor,
        reason or None,
    )


async def _enter(
    connection: Any, cursor: Any, seen: CardRow, becomes: Kept, kind: Taking, actor: str, reason: str
) -> None:
    """The entry in the trail. The id of a claim names nobody; the code and the account stay out of it."""
    told = {"claim": claim_id(seen.standing.code)}
    state = seen.standing.state_at(seen.now_ms)
    entry = Happening(
        cursor["now"],
        actor,
        reason,
        TRAIL_KINDS[kind],
        seen.wave,
        told | {"state": state},
        told | {"state": becomes},
    )
    end = End(cursor["trail_position"], cursor["trail_hash"])
    await add_entries(connection, seen.standing.campaign_no, end, [entry])


def _past(row: Any) -> PastStep:
    return PastStep(
        step=row["step"],
        kind=row["kind"],
        at_ms=unix_ms(row["at"]),
        merchant=row["merchant"] or "",
        store=row["store"] or "",
        clerk=row["clerk"] or "",
        order_no=row["order_no"] or "",
        amount=row["amount"],
        discount=row["discount"],
        until_ms=unix_ms(row["until"]) if row["until"] else None,
        actor=row["actor"] or "",
        reason=row["reason"] or "",
        by=row["by"] or "",
    )

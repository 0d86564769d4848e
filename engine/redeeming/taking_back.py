"""Vouchers in the hands of operators: seen with all that was done with them, and taken back.

    invalidate   the voucher is void from now on: a shop has closed, its terms were abused
    cancel       likewise, and the claim itself was a mistake: it should not have been given

Both change the voucher alone. The claim stays on record and counts against its claimant's limits, its unit stays used:
what was given out once is not given out again. A restock gives another unit out.
"""

from typing import Final

from msgspec import Struct

from engine.domain.codes import Mistyped, typed_code
from engine.errors import ActRefused, HotStoreError, MistypedCode, NotSettledYet, UnknownVoucher
from engine.ledger.cards import CardRow, card_of_code
from engine.ledger.database import Ledger
from engine.ledger.promise_book import Kept, PromiseBook
from engine.ledger.voucher_acts import Acted, PastStep, Taking, history, take_back
from engine.ledger.voucher_steps import Question, look_up
from engine.redeeming.arrivals import Arrivals

_NO_REQUEST: Final = "0" * 32
_BECOMES: Final = {"invalidate": "invalidated", "cancel": "cancelled"}


class SeenVoucher(Struct, frozen=True):
    """A settled voucher with its terms, and what was done with it, oldest first."""

    row: CardRow
    kept: Kept
    steps: list[PastStep]


class TakenBack(Struct, frozen=True):
    """The voucher before and after; `done` is false where it was so already."""

    act: Taking
    done: bool
    before: SeenVoucher
    after: SeenVoucher


class TakingBack:
    """What operators can do with a voucher. `arrivals` of None: the hot store cannot be asked what is on its way."""

    def __init__(self, ledger: Ledger, book: PromiseBook, arrivals: Arrivals | None) -> None:
        self._ledger = ledger
        self._book = book
        self._arrivals = arrivals

    async def look(self, typed: str) -> SeenVoucher:
        """The voucher with that code, as somebody types it.

        Raises MistypedCode, UnknownVoucher, NotSettledYet or LedgerError.
        """
        code = _code(typed)
        row = await card_of_code(self._ledger, code)
        if row is None:
            await self._wait_for(code)
            row = await card_of_code(self._ledger, code)
        if row is None:
            raise UnknownVoucher(f"nobody was given the code {code}")
        return await self._seen(row)

    async def take_back(self, typed: str, act: Taking, actor: str, reason: str) -> TakenBack:
        """Take it back for good. Raises as `look` does, and ActRefused with why it is not possible.

        After LedgerUnavailable it is not known whether it was done: doing it again is safe.
        """
        seen = await self.look(typed)
        acted = await take_back(self._ledger, seen.row.standing.code, act, actor, reason)
        if acted is None:  # the ledger went back in time since
            raise NotSettledYet(f"the ledger does not have {seen.row.standing.code} any more: do it again in a minute")
        if not acted.done and acted.state != _BECOMES[act]:
            raise ActRefused(_why_not(acted))
        before, after = await self._seen(acted.before, seen.kept), await self._seen(acted.after, seen.kept)
        return TakenBack(act, acted.done, before, after)

    async def _seen(self, row: CardRow, kept: Kept | None = None) -> SeenVoucher:
        standing = row.standing
        key = (standing.campaign_no, standing.offer_no, standing.terms_version)
        terms = kept or (await self._book.promises([key]))[key]
        return SeenVoucher(row, terms, await history(self._ledger, (standing.campaign_no, standing.code)))

    async def _wait_for(self, code: str) -> None:
        """Until the ledger has all that was claimed in its campaign by now.

        Raises NotSettledYet where that is not soon, or the claim is held in quarantine; UnknownVoucher where it was
        voided there.
        """
        [found] = await look_up(self._ledger, [Question(code, _NO_REQUEST, merchant="", payment_no="")])
        if found.campaign_no is None:
            return
        if found.quarantined == "voided":
            raise UnknownVoucher(f"the claim of {code} was in quarantine and was voided: {found.ended_reason}")
        if found.quarantined == "held":
            raise NotSettledYet(
                f"the claim of {code} is in quarantine: see `dropwave quarantine list {found.campaign}`; it can be "
                "settled or voided there"
            )
        try:
            has_all = self._arrivals is not None and await self._arrivals.wait(found.campaign_no, found.campaign)
        except HotStoreError:
            has_all = False
        if not has_all:
            raise NotSettledYet(f"the ledger does not have {code}, and may lack the newest claims: do it again shortly")


def _code(typed: str) -> str:
    code = typed_code(typed)
    if isinstance(code, Mistyped):
        raise MistypedCode(f"no voucher ever had the code {typed[:64]!r}: it was mistyped")
    return code


def _why_not(acted: Acted) -> str:
    """In the words of whoever has to tell it on."""
    standing, state = acted.before.standing, acted.state
    made, code = standing.made, standing.code
    if state == "redeemed" and made is not None:
        return f"{code} was redeemed at {made.store}: what was used cannot be taken back"
    if state == "locked" and made is not None:
        return f"{code} is held for an unpaid order of {made.merchant}: try again when it is paid or cancelled"
    if state in ("invalidated", "cancelled") and made is not None:
        return f"{code} was {state} already: {made.reason}"
    return f"{code} is {state}: nobody can use it"

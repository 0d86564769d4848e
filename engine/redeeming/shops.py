"""What tills can do here. The gateway speaks to this."""

import structlog

from engine.domain.redemption import Unfit, UnfitCode
from engine.errors import HotStoreError, LedgerError
from engine.ledger.database import Ledger
from engine.ledger.promise_book import Kept, PromiseBook
from engine.ledger.voucher_steps import Step, look_up, reversals_of, step_of_request
from engine.redeeming.arrivals import Arrivals
from engine.redeeming.desk import RedemptionDesk
from engine.redeeming.steps import Asked, Outcome, question_of
from engine.redeeming.waiting import BUSY, Waiting

log = structlog.get_logger(__name__)

NOT_SETTLED_YET = Unfit(UnfitCode.NOT_SETTLED_YET)


class Shops:
    """Redemptions, of one process."""

    def __init__(self, ledger: Ledger, book: PromiseBook, desk: RedemptionDesk, arrivals: Arrivals) -> None:
        self._ledger = ledger
        self._book = book
        self._desk = desk
        self._arrivals = arrivals

    async def merchant_of(self, store: str) -> str:
        """The merchant of that store; empty where no campaign has it. Raises LedgerError."""
        return await self._book.merchant_of(store)

    def known_merchant(self, store: str) -> str | None:
        """The same where it is at hand; None where the ledger has to be asked."""
        return self._book.known_merchant(store)

    async def find(self, request: str) -> tuple[Step, Kept] | None:
        """What the request of that name did, with the terms that it read; None where it did nothing.

        Raises LedgerError.
        """
        step = await step_of_request(self._ledger, request)
        if step is None:
            return None
        key = (step.campaign_no, step.offer_no, step.terms_version)
        return step, (await self._book.promises([key]))[key]

    async def reversals(self, redemption: Step) -> list[Step]:
        """The reversals of a redemption, oldest first. Raises LedgerError."""
        key = (redemption.campaign_no, redemption.code, redemption.step)
        return (await reversals_of(self._ledger, [key]))[key]

    async def ask(self, asked: Asked) -> Outcome:
        """What becomes of what a till asks for. A code that is not in the books is unknown only once the ledger has all
        that was claimed when the till asked."""
        outcome = await self._desk.ask(asked)
        return await self.look_again(asked, outcome) if is_not_in_books(outcome) else outcome

    def put(self, waiting: Waiting) -> None:
        """As `ask`, told to who waits; where `is_not_in_books`, it goes on with `look_again`."""
        self._desk.put(waiting)

    async def look_again(self, asked: Asked, outcome: Outcome) -> Outcome:
        """What becomes of a code that was not in the books: `outcome`, unless the ledger was behind its claim."""
        try:
            [entry] = await look_up(self._ledger, [question_of(asked)])
            if entry.campaign_no is None:
                return outcome
            if not await self._arrivals.wait(entry.campaign_no, entry.campaign):
                return NOT_SETTLED_YET
        except (HotStoreError, LedgerError) as error:
            log.warning("cannot tell what is not settled yet", error=str(error))
            return NOT_SETTLED_YET if isinstance(error, HotStoreError) else BUSY
        return await self._desk.ask(asked)


def is_not_in_books(outcome: Outcome) -> bool:
    """Whether the books do not know the code, which may be one of a moment ago."""
    return isinstance(outcome, Unfit) and outcome.code is UnfitCode.UNKNOWN_CODE

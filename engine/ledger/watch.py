"""Whether the ledger is there, with this program's schema.

A gateway decides claims without the ledger, so it starts without it too; what a person has to mend is told at the
start all the same, where the ledger can be asked by then.
"""

import asyncio

import structlog

from engine.errors import CannotRun, LedgerError
from engine.ledger.database import Ledger
from engine.ledger.migrate import require_migrated
from engine.ledger.queries import load_queries
from engine.service import Loop
from engine.settings import Settings
from engine.telemetry import PROMISE_BROKEN

log = structlog.get_logger(__name__)

_SQL = load_queries("database")

LOOK_S = 1.0
"""Between two looks: one short statement."""


class LedgerWatch:
    """Looks again and again. A service."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger = ledger
        self._wait_s = settings.ledger_connect_timeout_ms / 1000
        self._loop = Loop("ledger watch", self._look, LOOK_S)
        self._trouble: str | None = None
        self._is_migrated = False
        self._broken = ""

    @property
    def ready(self) -> bool:
        """Whether Postgres answered the last look, and had this program's schema when it first did."""
        return self._trouble == ""

    @property
    def keeps_promise(self) -> bool:
        """Whether its settings keep `ack`, as far as it could be asked: one that is away breaks nothing."""
        return not self._broken

    async def first_look(self) -> None:
        """Raises CannotRun where the ledger is there and cannot be used; one that is away is only told of.

        Takes at most `ledger_connect_timeout_ms`, which is how long a silent one is waited for.
        """
        try:
            await self._ask()
        except LedgerError as error:
            self._note(str(error))

    async def start(self) -> None:
        """Begin to look."""
        await self._loop.start()

    async def stop(self) -> None:
        """End."""
        await self._loop.stop(grace_s=0.0)  # a look changes nothing

    async def _look(self) -> None:
        """A ledger that comes back unfit does not end this process: claims are decided without it."""
        try:
            await self._ask()
        except (LedgerError, CannotRun) as error:
            self._note(str(error))

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                self._promised(await self._ledger.broken_promise())
                if self._is_migrated:  # an upgrade that goes on meanwhile ends nobody who is at work
                    await self._ledger.fetch(_SQL["answers"])
                else:
                    await require_migrated(self._ledger)
                    self._is_migrated = True
        except TimeoutError:
            self._note(f"Postgres has not answered for {self._wait_s:.1f} s")
        else:
            self._note("")

    def _promised(self, broken: str) -> None:
        before, self._broken = self._broken, broken
        PROMISE_BROKEN.labels("postgres").set(int(bool(broken)))
        if broken and broken != before:
            log.error("claims are refused: the ledger's settings cannot keep ack", why=broken)
        elif before and not broken:
            log.info("the ledger's settings keep ack")

    def _note(self, trouble: str) -> None:
        before, self._trouble = self._trouble, trouble
        if trouble and trouble != before:
            log.warning("the ledger cannot be used", why=trouble)
        elif before and not trouble:
            log.info("the ledger can be used")

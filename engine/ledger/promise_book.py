"""What was promised, and what stores there are, for whoever serves shops and card packs.

A promise never changes (P8), so each is read once. Stores do change, by an apply: the book is read again now and then,
and at once for a store that it does not have, but not more often than a bound allows.
"""

import time
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from engine.domain.campaign import Promise
from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries

_SQL = load_queries("shops")
_PROMISE = msgspec.json.Decoder(Promise)

PROMISES_KEPT_MAX = 10_000
"""Some 2 kB each; past it all are dropped and read again."""
STORES_FRESH_FOR_S = 30.0
STORES_LOOK_S = 1.0
"""A store that is not in the book is looked for no more often than this: made-up ids must not become a load."""

STORES_MISSED_MAX = 10_000
"""Stores of tokens that no campaign ever had; past it all are looked for again."""

TermsKey = tuple[int, int, int]
"""(campaign_no, offer_no, version)."""


class Kept(Struct, frozen=True):
    """One version of an offer's terms, with the offer's and the campaign's ids."""

    campaign: str
    offer: str
    promise: Promise
    hash: str


class PromiseBook:
    """Promises by number, and the merchant of each store. One for a process."""

    def __init__(self, ledger: Ledger, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._monotonic_s = monotonic_s
        self._kept: dict[TermsKey, Kept] = {}
        self._merchants: dict[str, str] = {}
        self._read_s: float | None = None
        self._missed_s: dict[str, float] = {}
        """When each store was looked for in vain: not for another one's sake is a store called unknown."""

    async def promises(self, wanted: Iterable[TermsKey]) -> dict[TermsKey, Kept]:
        """These versions; one that the ledger does not have is not there. Raises LedgerError."""
        found: dict[TermsKey, Kept] = {}
        for key in set(wanted):
            kept = self._kept.get(key)
            if kept is None:
                row = await self._ledger.fetch_row(_SQL["promise"], *key)
                if row is None:
                    continue
                if len(self._kept) >= PROMISES_KEPT_MAX:
                    self._kept.clear()
                promise = _PROMISE.decode(row["promise"])
                kept = self._kept[key] = Kept(row["campaign"], row["offer"], promise, row["hash"])
            found[key] = kept
        return found

    def known_merchant(self, store: str) -> str | None:
        """The merchant of that store where the book has it and is fresh; else `merchant_of` tells."""
        if self._read_s is None or self._monotonic_s() - self._read_s >= STORES_FRESH_FOR_S:
            return None
        return self._merchants.get(store)

    async def merchant_of(self, store: str) -> str:
        """The merchant of that store, as the newest campaign that has it says, else what was once promised; empty where
        it never was a store.

        Raises LedgerError.
        """
        now_s = self._monotonic_s()
        age_s = STORES_FRESH_FOR_S if self._read_s is None else now_s - self._read_s
        if age_s >= STORES_FRESH_FOR_S or (store not in self._merchants and age_s >= STORES_LOOK_S):
            rows = await self._ledger.fetch(_SQL["stores"])
            # one that every file has dropped stays: what was promised of it counts
            self._merchants |= {row["store"]: row["merchant"] for row in rows}
            self._read_s = now_s
        if store not in self._merchants and now_s - self._missed_s.get(store, -STORES_LOOK_S) >= STORES_LOOK_S:
            row = await self._ledger.fetch_row(_SQL["store_of_terms"], store)
            if row is not None:
                self._merchants[store] = row["merchant"]
            else:
                if len(self._missed_s) >= STORES_MISSED_MAX:
                    self._missed_s.clear()
                self._missed_s[store] = now_s
        return self._merchants.get(store, "")

"""The vouchers of a user as one merchant may see them: those that its stores take, and how they stand."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from engine.domain.redemption import Standing
from engine.ledger.database import Ledger
from engine.ledger.instants import unix_ms
from engine.ledger.quarantine import lookup_text
from engine.ledger.queries import load_queries
from engine.ledger.voucher_steps import standing_of

_SQL = load_queries("held_vouchers")

HELD_VOUCHERS_MAX: Final = 100
"""Vouchers in one look. Three campaigns in which a user held all that is possible; a till's page shows a few."""


class HeldVoucher(Struct, frozen=True):
    """A voucher, and the places that other vouchers of its campaign have taken on the payment."""

    standing: Standing
    places_taken: frozenset[int]


class HeldVouchers(Struct, frozen=True):
    """What a merchant may see of a user at `now_ms` of the ledger's clock, all of one instant."""

    now_ms: int
    vouchers: tuple[HeldVoucher, ...]
    of_all: int
    """How many there are, with those that were too many to be read."""
    has_quarantined: bool
    """Whether a claim of the user is kept apart, in a campaign that this merchant's stores take."""
    places: Mapping[int, tuple[int, int]]
    """(epoch, last) of the campaigns that were asked for: how far they are settled."""


async def held_vouchers(
    ledger: Ledger, account: str, merchant: str, store: str, payment_no: str, campaign_nos: Sequence[int]
) -> HeldVouchers:
    """The vouchers of that account for that merchant, at most HELD_VOUCHERS_MAX. Raises LedgerError.

    `store` is the merchant's now; terms that name it are its business, whoever it belonged to then.
    """
    asked = lookup_text(account)  # of a text that no column could hold, nothing is found
    rows = await ledger.fetch(
        _SQL["of_account_at_merchant"], asked, merchant, store, payment_no, HELD_VOUCHERS_MAX, list(campaign_nos)
    )
    cursors = msgspec.json.decode(rows[0]["cursors"] or "{}", type=dict[int, tuple[int, int]])
    found = [row for row in rows if row["asked_code"] is not None]
    return HeldVouchers(
        now_ms=unix_ms(rows[0]["now"]),
        vouchers=tuple(HeldVoucher(standing_of(row), frozenset(row["places"] or ())) for row in found),
        of_all=found[0]["of_all"] if found else 0,
        has_quarantined=rows[0]["has_quarantined"],
        places=cursors,
    )

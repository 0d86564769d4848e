"""An answer to a till, as the till reads it."""

from typing import Any, Final, NamedTuple

from loadtests.swarm.answers import UNDECIDED, Told, terms_of

AGAIN: Final = UNDECIDED | {"not_settled_yet"}
"""Say nothing about the voucher: the till sends the same request again."""
ALREADY: Final = "already_redeemed"
LOCKED: Final = "locked"
TOO_LITTLE: Final = "below_min_spend"
WRONG_STORE: Final = "wrong_store"
FINE_AT_TILLS: Final = frozenset(
    {"ok", "busy", "recovering", "outcome_unknown", "too_many_requests", "not_settled_yet"}
) | {ALREADY, LOCKED, TOO_LITTLE, WRONG_STORE}
"""What tills may meet; whether it was true there, the receipts say. Others are failures of the run."""


class Heard(NamedTuple):
    """An answer to a till: what was told, its members, and whether an earlier try of the request went unanswered."""

    told: Told
    members: dict[str, Any]
    had_no_answer: bool = False

    @property
    def is_new(self) -> bool:
        """Whether it tells of something that was done just now."""
        return self.told.status == 201


class Redemption(NamedTuple):
    """A voucher that a till took, as it was told."""

    id: str
    code: str
    store: str
    request_no: str
    amount: int
    discount: int
    due: int
    terms: str


class Reversal(NamedTuple):
    """A refund, as it was told."""

    id: str
    redemption: str
    amount: int
    discount: int
    is_given_back: bool


def read_redemption(members: dict[str, Any]) -> Redemption:
    """Of `POST …/redemptions`. KeyError or TypeError where it is none."""
    told = members["redemption"]
    same = {name: told[name] for name in Redemption._fields if name != "terms"}
    return Redemption(**same, terms=terms_of(told["terms"]))


def read_reversal(members: dict[str, Any]) -> Reversal:
    """Of `POST …/reversal`. KeyError or TypeError where it is none."""
    told = members["reversal"]
    return Reversal(*(told[name] for name in ("id", "redemption", "amount", "discount", "given_back")))

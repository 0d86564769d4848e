"""Simulated users: what kinds there are, and what each of them is going to ask for."""

from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """What a user does. Those up to VANISHING have the right to a claim; the others are strangers."""

    PLAIN = "asks once"
    EARLY = "comes before the opening and asks again"
    PARALLEL = "sends the same claim several times at once"
    REPEATING = "asks again later"
    GREEDY = "wants another offer afterwards"
    CHOOSING = "names several offers in order of choice"
    MORE = "asks for all that the limits allow, and one more"
    TICKETED = "gets a ticket over HTTP during the countdown"
    BEARER = "claims with a token, without a ticket"
    VANISHING = "hangs up before the answer"

    FORGED = "has a ticket that nobody issued"
    CUT = "has a ticket with its end missing"
    ALTERED = "has a ticket with one character changed"
    OTHER_WAVE = "has a ticket for another wave"
    EXPIRED = "has a token that has expired"
    NOT_JSON = "sends what is not JSON"
    NOT_AN_OFFER = "asks for an offer that does not exist"
    NOT_A_NUMBER = "sends a request_no out of range"
    NOT_A_WAVE = "asks in a wave that does not exist"
    NOT_ELIGIBLE = "may not claim by the rules"


STRANGERS = (
    Kind.FORGED,
    Kind.CUT,
    Kind.ALTERED,
    Kind.OTHER_WAVE,
    Kind.EXPIRED,
    Kind.NOT_JSON,
    Kind.NOT_AN_OFFER,
    Kind.NOT_A_NUMBER,
    Kind.NOT_A_WAVE,
    Kind.NOT_ELIGIBLE,
)

TRUE_REFUSALS: dict[Kind, frozenset[str]] = {
    Kind.FORGED: frozenset({"unauthenticated", "ticket_expired"}),  # the key it names may be one that is gone
    Kind.CUT: frozenset({"unauthenticated"}),
    Kind.ALTERED: frozenset({"unauthenticated", "ticket_expired"}),
    Kind.OTHER_WAVE: frozenset({"ticket_mismatch"}),
    Kind.EXPIRED: frozenset({"token_expired"}),
    Kind.NOT_JSON: frozenset({"invalid_request"}),
    Kind.NOT_AN_OFFER: frozenset({"unknown_offer"}),
    Kind.NOT_A_NUMBER: frozenset({"invalid_request"}),
    Kind.NOT_A_WAVE: frozenset({"unknown_wave"}),
    Kind.NOT_ELIGIBLE: frozenset({"not_eligible"}),
}
"""The one true reason for each kind of stranger (two where the change may hit either part of a ticket)."""


class User(Struct, frozen=True):
    """One simulated user. `arrives_ms` counts from the opening; `offers` are ids, the first choice first.

    `times` is how often the same claim is sent at once, `again_ms` the pauses after which it is sent, or looked
    for, again.
    """

    number: int
    kind: Kind
    offers: tuple[str, ...]
    arrives_ms: int
    other_offer: str = ""
    times: int = 1
    again_ms: tuple[int, ...] = ()
    prefix: str = ""
    """Of account and person, where real users must not be met."""

    @property
    def account(self) -> str:
        """The name in tickets and tokens."""
        return f"{self.prefix}u{self.number}"

    @property
    def person(self) -> str:
        """The natural person behind the account, for campaigns whose limits count persons."""
        return f"{self.prefix}p{self.number}"

    @property
    def entitled(self) -> bool:
        """Whether this user may claim at all."""
        return self.kind not in TRUE_REFUSALS

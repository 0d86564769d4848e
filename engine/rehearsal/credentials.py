"""What users show: tickets and tokens that are right, and those that are wrong in one way each."""

import random
from collections.abc import Callable, Sequence

from engine.domain.campaign import Catalogue, CatalogueWave, Eligibility
from engine.domain.eligibility import Identity, claimant_of
from engine.domain.tickets import Ticket
from engine.rehearsal.users import Kind, User

TOKEN_LIFE_S = 3_600
EXPIRED_FOR_S = 600
"""Far beyond the leeway that a gateway gives to clocks that differ."""

MintTicket = Callable[[Ticket], str]
MintToken = Callable[[Identity, int], str]
"""From an identity and the seconds until it expires (below zero: since)."""

_BASE64_URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_FORGED_LENGTH = 120
_HEAD_LENGTH = len("Ticket 1") + 4
"""Scheme, format and id of the key: a forger can read them off any ticket."""


class Credentials:
    """Makes the `Authorization` of each user in one wave."""

    def __init__(
        self,
        catalogue: Catalogue,
        wave: CatalogueWave,
        mint_ticket: MintTicket,
        mint_token: MintToken,
        issued_ms: int,
        seed: int,
    ) -> None:
        self._catalogue = catalogue
        self._wave = wave
        self._rules = [catalogue.eligibility, *([wave.eligibility] if wave.eligibility else [])]
        self._mint_ticket = mint_ticket
        self._mint_token = mint_token
        self._issued_ms = issued_ms
        self._draw = random.Random(seed)  # noqa: S311 - a forger's luck has to be repeatable

    def of(self, user: User) -> str:
        """What this user claims with; TICKETED gets the rest over HTTP."""
        match user.kind:
            case Kind.BEARER | Kind.TICKETED | Kind.NOT_A_WAVE:
                return self.token(user)
            case Kind.EXPIRED:
                return "Bearer " + self._mint_token(self.identity(user), -EXPIRED_FOR_S)
            case Kind.FORGED:
                head = self.ticket(user)[: _HEAD_LENGTH if self._draw.random() < 0.5 else len("Ticket 1")]
                return head + "".join(self._draw.choices(_BASE64_URL, k=_FORGED_LENGTH))
            case Kind.CUT:
                ticket = self.ticket(user)
                return ticket[: len(ticket) - self._draw.randint(1, 40)]
            case Kind.ALTERED:
                return self._altered(self.ticket(user))
            case Kind.OTHER_WAVE:
                return self.ticket(user, wave=self._another_wave())
            case Kind.NOT_ELIGIBLE:
                return self.ticket(user, broken_rule="city")
            case _:
                return self.ticket(user)

    def ticket(self, user: User, *, wave: str = "", broken_rule: str = "") -> str:
        """A ticket as the gateway would issue it."""
        identity = self.identity(user)
        text = self._mint_ticket(
            Ticket(
                campaign=self._catalogue.id,
                wave=wave or self._wave.id,
                account=identity.account,
                claimant=claimant_of(identity, self._catalogue.by),
                by=self._catalogue.by,
                broken_rule=broken_rule,
                issued_ms=self._issued_ms,
            )
        )
        return "Ticket " + text

    def token(self, user: User) -> str:
        """A token as the login would issue it."""
        return "Bearer " + self._mint_token(self.identity(user), TOKEN_LIFE_S)

    def identity(self, user: User) -> Identity:
        """Somebody whom the rules of campaign and wave let in, lists of accounts apart."""
        cities = next((rule.cities for rule in self._rules if rule.cities), ())
        return Identity(
            account=user.account,
            city=cities[0] if cities else "",
            tags=tuple(dict.fromkeys(tag for rule in self._rules for tag in _tags_wanted(rule))),
            person=user.person,
        )

    def _another_wave(self) -> str:
        others = [wave.id for wave in self._catalogue.waves if wave.no != self._wave.no]
        return self._draw.choice(others) if others else self._wave.id + "-2"

    def _altered(self, authorization: str) -> str:
        """One character of the ticket another one, behind the format's number."""
        at = self._draw.randrange(len("Ticket 1"), len(authorization))
        other = self._draw.choice([character for character in _BASE64_URL if character != authorization[at]])
        return authorization[:at] + other + authorization[at + 1 :]


def can_be_entitled_by_token(rules: Sequence[Eligibility]) -> bool:
    """Whether made-up accounts may claim with a token by these rules: not where only the accounts of a list may."""
    return all(rule.allow is None for rule in rules)


def _tags_wanted(rule: Eligibility) -> tuple[str, ...]:
    return (*rule.tags.any[:1], *rule.tags.all)

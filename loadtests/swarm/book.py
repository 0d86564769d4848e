"""The book of one worker: what each of its users was told, and what of it contradicts itself.

It grows by the claims that are granted (some 300 bytes each, here and in the master), not by what is refused: the stock
of the wave bounds it.
"""

import hashlib
import random
from collections import Counter
from typing import Final, NamedTuple

from loadtests.swarm import contradictions as kinds
from loadtests.swarm.answers import BEHIND_REPLAY, NEW, OPEN, REPEATED, Told, ToldClaim
from loadtests.swarm.contradictions import Contradictions
from loadtests.swarm.receipts import Sales

DIGEST_BYTES: Final = 8
"""Two of ten million codes are the same by chance in one of 370,000 runs, and codes themselves are not sent about."""
CHECKED_MAX: Final = 2_000
"""Users of each sort whose own claims are looked at in the end, evenly from the whole run: some seconds in all."""


class Standing:
    """What one account was told of its claim so far. `number` is the account's in its worker."""

    __slots__ = ("account", "granted", "is_open", "is_wronged", "news", "number", "refusal")

    def __init__(self, account: str, number: int) -> None:
        self.account = account
        self.number = number
        self.granted: ToldClaim | None = None
        self.news = 0
        """Answers that granted it as new."""
        self.is_open = False
        """Whether some request went unanswered: then a claim may exist that nobody was told of."""
        self.refusal = ""
        """The last one that was final."""
        self.is_wronged = False
        """Whether a look at its own claims has found something wrong: that is counted once."""


class Asking(NamedTuple):
    """A request for a claim that is under way. `held`: what its account was told before it was sent."""

    standing: Standing
    wave: str
    offers: tuple[str, ...]
    held: ToldClaim | None
    is_first: bool


class Sample:
    """At most so many of all that are offered, each with the same chance (Vitter's algorithm R)."""

    def __init__(self, most: int, draw: random.Random) -> None:
        self.kept: list[Standing] = []
        self.offered = 0
        self._most = most
        self._draw = draw

    def offer(self, standing: Standing) -> None:
        """Maybe keep it."""
        self.offered += 1
        if len(self.kept) < self._most:
            self.kept.append(standing)
        elif (place := self._draw.randrange(self.offered)) < self._most:
            self.kept[place] = standing


class Book:
    """`is_fresh`: no account of this run has ever claimed before."""

    def __init__(self, seed: int, *, is_fresh: bool) -> None:
        draw = random.Random(seed)
        self.wrong = Contradictions()
        self.sales = Sales(self.wrong)
        """What tills were told of what was claimed."""
        self.codes: list[tuple[bytes, str, str]] = []
        """Digest of the code, account, offer: of each claim that was told, once for each account."""
        self.answers: Counter[str] = Counter()
        """To claims, by code."""
        self.sold_out: dict[str, int] = {}
        """How often `sold_out` was heard, by offers asked for ("a b": first a, then b)."""
        self.first_ms: tuple[int, str] | None = None
        self.last_ms: tuple[int, str] | None = None
        """The earliest and the latest claim told: its instant and account."""
        self.winners = Sample(CHECKED_MAX, draw)
        self.losers = Sample(CHECKED_MAX, draw)
        self.visits = 0
        self.unanswered = 0
        """Visits that ended without knowing."""
        self._is_fresh = is_fresh

    def ask(self, standing: Standing, wave: str, offers: tuple[str, ...], *, is_first: bool) -> Asking:
        """A request is about to be sent. `is_first`: none of this account was sent before."""
        return Asking(standing, wave, offers, standing.granted, is_first)

    def hear(self, asking: Asking, told: Told) -> str:
        """Its answer. What is wrong with it, in words; empty where nothing is."""
        standing = asking.standing
        self.answers[told.code] += 1
        if told.claim is not None:
            return self._hear_claim(asking, told, told.claim)
        if told.code in OPEN:
            standing.is_open = True
        if told.is_final:
            standing.refusal = told.code
        if told.code == "sold_out":
            offers = " ".join(asking.offers)
            self.sold_out[offers] = self.sold_out.get(offers, 0) + 1
        if asking.held is not None and asking.held.offer in asking.offers and told.code in BEHIND_REPLAY:
            return self._add(kinds.REFUSED_AFTERWARDS, f"{standing.account} ({told.code})")
        return ""

    def end(self, standing: Standing) -> None:
        """The visit of this account is over."""
        self.visits += 1
        if standing.granted is not None:
            self.winners.offer(standing)
        elif standing.refusal:
            self.losers.offer(standing)
        else:
            self.unanswered += 1

    def see_own_claims(self, standing: Standing, shown: list[ToldClaim]) -> str:
        """What `GET …/claims` shows a user who is told of nothing else meanwhile. What is wrong with it, in words."""
        kind, more = self._wrong_with(standing, shown)
        if kind is None or standing.is_wronged:
            return ""
        standing.is_wronged = True
        return self._add(kind, standing.account + more)

    def _wrong_with(self, standing: Standing, shown: list[ToldClaim]) -> tuple[kinds.Kind | None, str]:
        granted, refusal = standing.granted, standing.refusal
        if granted is None:
            if refusal in ("already_claimed", "limit_reached"):
                return (None if shown else kinds.HELD_BY_NOBODY), ""
            is_strange = shown and refusal and not standing.is_open and self._is_fresh
            return (kinds.HELD_ALL_THE_SAME if is_strange else None), f" ({refusal})"
        same = [claim for claim in shown if claim.id == granted.id]
        if not same:
            return kinds.LOST, ""
        if same[0] != granted:
            return kinds.OTHERWISE, ""
        return (kinds.GRANTED_TWICE if len(shown) > 1 and self._is_fresh else None), ""

    def _hear_claim(self, asking: Asking, told: Told, claim: ToldClaim) -> str:
        standing, wrong = asking.standing, []
        if told.code == NEW:
            standing.news += 1
            if standing.news > 1:
                wrong.append(self._add(kinds.NEW_TWICE, standing.account))
        if told.code == REPEATED and asking.is_first and self._is_fresh:
            wrong.append(self._add(kinds.REPEATED_AT_FIRST, standing.account))
        if claim.wave != asking.wave or claim.offer not in asking.offers:
            wrong.append(self._add(kinds.NOT_ASKED_FOR, f"{standing.account} ({claim.wave}, {claim.offer})"))
        if standing.granted is None:
            standing.granted = claim
            self._note(standing.account, claim)
        elif (claim.id, claim.code) != (standing.granted.id, standing.granted.code):
            wrong.append(self._add(kinds.GRANTED_TWICE, standing.account))
            self._note(standing.account, claim)
        return "; ".join(wrong)

    def _note(self, account: str, claim: ToldClaim) -> None:
        digest = hashlib.blake2b(claim.code.encode(), digest_size=DIGEST_BYTES).digest()
        self.codes.append((digest, account, claim.offer))
        moment = (claim.claimed_ms, account)
        self.first_ms = min(self.first_ms or moment, moment)
        self.last_ms = max(self.last_ms or moment, moment)

    def _add(self, kind: kinds.Kind, example: str) -> str:
        self.wrong.add(kind, example)
        return f"{kind.promise}: one of the {kind.words}"

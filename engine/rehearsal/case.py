"""The case before the judge: who was to come, what they were told, what was kept, and when things were done."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property

from engine.domain.campaign import Catalogue, CatalogueWave
from engine.domain.outcome import Claim
from engine.domain.verdict import Faults
from engine.rehearsal.kept import Kept
from engine.rehearsal.plan import Plan
from engine.rehearsal.record import Answer, Record, ToldClaim
from engine.rehearsal.users import User


class Moments:
    """Instants of the drop, by the store's clock. What was not done has none."""

    def __init__(self, opens_ms: int, closes_ms: int) -> None:
        self.opens_ms = opens_ms
        self.closes_ms = closes_ms
        self.pause_begun_ms: float | None = None
        self.resume_done_ms: float | None = None
        self.close_begun_ms: float | None = None
        self.close_done_ms: float | None = None
        self.tolerance_ms = 0.0
        """How far the rehearsal's clock can be off the store's."""


class Case:
    """Everything, and a few ways to look at it."""

    def __init__(
        self,
        catalogue: Catalogue,
        wave: CatalogueWave,
        plan: Plan,
        record: Record,
        kept: Kept,
        moments: Moments,
        documented: Mapping[str, int],
    ) -> None:
        """`documented`: the status of every refusal that the service may give, by its code."""
        self.catalogue = catalogue
        self.wave = wave
        self.plan = plan
        self.record = record
        self.kept = kept
        self.moments = moments
        self.documented = documented
        self.faults = Faults()
        self.users: dict[int, User] = {user.number: user for user in plan.users}
        self.offer_ids = {offer.no: offer.id for offer in catalogue.offers}

    @cached_property
    def granted(self) -> list[tuple[Answer, ToldClaim]]:
        """Every answer that granted a claim or granted it again."""
        return [(answer, answer.granted) for answer in self.record.answers if answer.granted is not None]

    @cached_property
    def told_codes(self) -> set[str]:
        """Codes that some answer told, be it to a claim, to a look or beside a refusal."""
        return {claim.code for answer in self.record.answers for claim in claims_in(answer)}

    @cached_property
    def kept_of_account(self) -> dict[str, list[Claim]]:
        """The claims that were kept, by account."""
        found: dict[str, list[Claim]] = {}
        for claim in self.kept.claims.values():
            found.setdefault(claim.account, []).append(claim)
        return found

    @cached_property
    def given(self) -> Counter[str]:
        """The claims that were kept, by offer id."""
        return Counter(self.offer_id(claim.offer_no) for claim in self.kept.claims.values())

    @cached_property
    def last_given_ms(self) -> dict[str, int]:
        """The instant of the last claim by offer id."""
        last: dict[str, int] = {}
        for claim in self.kept.claims.values():
            offer = self.offer_id(claim.offer_no)
            last[offer] = max(last.get(offer, 0), claim.claimed_at_ms)
        return last

    def offer_id(self, offer_no: int) -> str:
        """The id of an offer."""
        return self.offer_ids.get(offer_no, f"offer number {offer_no}")

    def valid_asks(self) -> Iterator[tuple[User, Answer]]:
        """Claims asked for in order by users who may."""
        for answer in self.record.answers:
            user = self.users[answer.user]
            if answer.purpose == "claim" and user.entitled:
                yield user, answer


def claims_in(answer: Answer) -> tuple[ToldClaim, ...]:
    """Every claim that an answer tells of."""
    return (*answer.told.claims, *([answer.told.claim] if answer.told.claim else []))


def instant_ms(text: str) -> int:
    """Unix milliseconds of an instant as answers spell it."""
    moment = datetime.fromisoformat(text)
    return round(moment.timestamp() * 1000)


def named(user: User, claim: ToldClaim | None = None) -> str:
    """A user in an example; claims by their id, never by their code."""
    who = f"{user.account} ({user.kind.name.lower()})"
    return f"{who}, claim {claim.id}" if claim else who

"""The verdict on a run: what users were told, what operators see, what the audit of the stores says."""

from typing import Any, Final, NamedTuple

from engine.domain.verdict import PROMISES
from loadtests.swarm import contradictions as kinds
from loadtests.swarm.answers import UNDECIDED, instant_ms
from loadtests.swarm.contradictions import Contradictions
from loadtests.swarm.receipts import Sales, Sums
from loadtests.swarm.tally import Tally

KEPT: Final = 0
BROKEN: Final = 1
NOT_KNOWN: Final = 3
"""Exit statuses; 2 is wrong usage, as everywhere in this house."""


class Seen(NamedTuple):
    """A wave as operators see it: by offer, units of stock, units left, claims counted."""

    opens_ms: int
    closes_ms: int
    stock: dict[str, int]
    left: dict[str, int | None]
    claimed: dict[str, int | None]
    campaign: str = ""

    @classmethod
    def of(cls, page: dict[str, Any]) -> "Seen":
        """From the answer of `GET /v1/ops/waves/{wave}`."""
        offers = page["offers"]
        return cls(
            instant_ms(page["opens_at"]),
            instant_ms(page["closes_at"]),
            {offer["id"]: offer["stock"] for offer in offers},
            {offer["id"]: offer["left"] for offer in offers},
            {offer["id"]: offer["claimed"] for offer in offers},
            page["campaign"],
        )


class Booked(NamedTuple):
    """What the installation's statement has of the campaign: before the run, and after it (None: it was not told)."""

    before: Sums
    after: Sums | None
    is_own: bool
    """Whether nobody but this run has vouchers of the campaign."""


class Verdict(NamedTuple):
    """What broke, what could not be judged, and what was looked at: a line each."""

    broken: tuple[str, ...]
    not_known: tuple[str, ...]
    looked_at: tuple[str, ...]

    @property
    def status(self) -> int:
        """The exit status."""
        return BROKEN if self.broken else NOT_KNOWN if self.not_known else KEPT

    @property
    def word(self) -> str:
        """The verdict in short."""
        return {BROKEN: "BROKEN", NOT_KNOWN: "NOT KNOWN", KEPT: "KEPT"}[self.status]


def judge(
    tally: Tally,
    before: Seen,
    after: Seen | None,
    audit: dict[str, Any] | None,
    missing: list[str],
    booked: Booked | None = None,
) -> Verdict:
    """`missing`: what else could not be had, a line each (books of workers that are gone, say). `booked`: where winners
    were to go on to shops."""
    wrong = Contradictions()
    if booked is not None and booked.after is not None:
        _hold_against_statement(wrong, tally.sales, booked.after.minus(booked.before), is_own=booked.is_own)
    if after is not None:
        _hold_against(wrong, tally, before, after)
    broken = [*tally.wrong.lines(), *wrong.lines(), *_findings(audit, held=False)]
    not_known = list(missing)
    if not tally.answers.keys() - UNDECIDED:
        not_known.append("no claim was decided, so nothing was put to the test")
    if tally.silent:
        not_known.append(f"the own claims of {tally.silent:,} users could not be looked at in time")
    if booked is not None and not tally.sales.sums.redemptions:
        not_known.append("no voucher was redeemed, so P8 was not put to the test")
    looked_at = [*_looked_at(tally), *_findings(audit, held=True, unknown=True)]
    if booked is not None:
        looked_at += _shops(tally.sales, booked, is_kept=not any(line.startswith("P8") for line in broken))
    return Verdict(tuple(broken), tuple(not_known), tuple(looked_at))


def _hold_against(wrong: Contradictions, tally: Tally, before: Seen, after: Seen) -> None:
    for offer, given in tally.given.items():
        units = max(before.stock.get(offer, 0), after.stock.get(offer, 0))
        if given > units:
            wrong.add(kinds.ABOVE_STOCK, f"{offer}: {given:,} of {units:,}", given - units)
        counted = after.claimed.get(offer)
        if counted is not None and given > counted:
            wrong.add(kinds.NOT_COUNTED, f"{offer}: {given:,} told, {counted:,} counted", given - counted)
    for offers, answers in tally.sold_out.items():
        for offer in offers.split():
            left = after.left.get(offer)
            if left and before.stock.get(offer) == after.stock.get(offer):  # else units came later
                wrong.add(kinds.LEFT_OVER, f"{left:,} of {offer}", answers)
    if (before.opens_ms, before.closes_ms) != (after.opens_ms, after.closes_ms):
        return  # somebody has moved the wave; the audit knows when
    for moment in (tally.first_ms, tally.last_ms):
        if moment is not None and not after.opens_ms <= moment[0] < after.closes_ms:
            wrong.add(kinds.OUTSIDE, moment[1])


def _hold_against_statement(wrong: Contradictions, told: Sales, booked: Sums, *, is_own: bool) -> None:
    """Requests whose answer nobody got may stand in it or not; of a campaign of others there are more in it."""
    for name in ("redemptions", "given_back", "refunded"):
        mine, theirs = getattr(told.sums, name), getattr(booked, name)
        example = f"{name}: {mine:,} told, {theirs:,} in the statement"
        if mine > theirs:
            wrong.add(kinds.NOT_BOOKED, example, mine - theirs)
        elif is_own and theirs > mine + told.open:
            wrong.add(kinds.BOOKED_UNTOLD, example, theirs - mine - told.open)
    if is_own and not told.open:
        for name in ("discount", "taken_back"):
            mine, theirs = getattr(told.sums, name), getattr(booked, name)
            if mine != theirs:
                example = f"{name}: {mine:,} told, {theirs:,} in the statement"
                wrong.add(kinds.OTHER_SUMS, example, abs(mine - theirs))


def _shops(told: Sales, booked: Booked, *, is_kept: bool) -> list[str]:
    sums = told.sums
    lines = [
        f"shops: {told.errands:,} vouchers taken there, {told.crowds:,} of them to all tills of a store at once;"
        f" {sums.redemptions:,} redemptions for {sums.discount:,} minor units, {told.replaced:,} of them by terms that"
        f" had been replaced; {sums.given_back:,} refunds gave the voucher back, {sums.refunded:,} did not;"
        f" {told.open:,} requests that nobody knows of"
    ]
    if told.unusable:
        lines.append(f"shops: {told.unusable:,} vouchers that could not be used there now")
    if is_kept and sums.redemptions and booked.after is not None:
        agrees = "has the same" if booked.is_own else "has them"
        lines.append(f"P8 {PROMISES['P8']}: kept: each once, by the terms of its claim; the statement {agrees}")
    return lines


def _findings(audit: dict[str, Any] | None, *, held: bool, unknown: bool = False) -> list[str]:
    lines = []
    for finding in audit["findings"] if audit else ():
        if finding["held"] is held or (unknown and finding["held"] is None):
            word = {True: "kept", False: "BROKEN", None: "not judged"}[finding["held"]]
            promise = finding["promise"]
            examples = "".join(f"; {example}" for example in finding["examples"])
            lines.append(f"audit: {promise} {PROMISES[promise]}: {word}: {finding['figures']}{examples}")
    return lines


def _looked_at(tally: Tally) -> list[str]:
    claims = sum(tally.given.values())
    lines = [
        f"users: {tally.visits:,} visits ended, {tally.unanswered:,} of them without knowing; {claims:,} claims told"
    ]
    if tally.sampled:
        lines.append(f"own claims: looked at for {tally.shown:,} of {tally.sampled:,} users picked from all")
    if len(tally.handed_in) > 1:
        books = ", ".join(f"{worker}: {count:,}" for worker, count in sorted(tally.handed_in.items()))
        lines.append(f"claims told, by worker: {books}")
    return lines

"""What can only be seen when the whole file has been read: limits against waves, rollover, cap, validity, use."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX, Cap, Eligibility, Limit, Offer, Store, Use, Validity, Wave
from engine.domain.voucher import period_of
from engine.scheduling.drops import Drop
from engine.scheduling.lists import ACCOUNTS_MAX
from engine.scheduling.mistakes import shown
from engine.scheduling.offers import Offers
from engine.scheduling.places import Place
from engine.scheduling.rules import CAP_VALUE_MAX
from engine.scheduling.waves import WrittenWave

_UNBOUNDED = 1_000_000_000
"""Stands for the maximum of a scope without a limit."""


def check_rounds(limits: Sequence[Limit], waves: Sequence[WrittenWave]) -> None:
    """Where a limit counts per round, every wave has to name one."""
    if any(limit.per == "round" for limit in limits):
        for wave in waves:
            if "round" not in wave.shared.given:
                wave.place.wrong_below("round", "is missing: a limit counts per round; write for example round: first")


def check_claims(limits: Sequence[Limit], place: Place, drops: Sequence[Drop]) -> None:
    """Limits must bound the claims of one claimant in the campaign."""
    possible = claims_possible(limits, [drop.wave for drop in drops])
    if possible > CLAIMS_PER_CLAIMANT_MAX:
        place.wrong(
            f"allow one claimant {possible:,} claims in this campaign; at most {CLAIMS_PER_CLAIMANT_MAX} are possible: "
            f"add {{max: {CLAIMS_PER_CLAIMANT_MAX}, per: campaign}}, or less"
        )


def claims_possible(limits: Sequence[Limit], waves: Sequence[Wave]) -> int:
    """The most that these limits let one claimant claim in these waves."""
    most = {limit.per: limit.max for limit in limits}
    per_wave = most.get("wave", _UNBOUNDED)

    def summed(per_group: int, group_of: Callable[[Wave], object]) -> int:
        waves_in: dict[object, int] = defaultdict(int)
        for wave in waves:
            waves_in[group_of(wave)] += 1
        return sum(min(per_group, per_wave * count) for count in waves_in.values())

    return min(
        most.get("campaign", _UNBOUNDED),
        summed(most.get("round", _UNBOUNDED), lambda wave: wave.round),
        summed(most.get("day", _UNBOUNDED), lambda wave: wave.day),
    )


def check_rollover(drops: Sequence[Drop], waves: Sequence[WrittenWave]) -> None:
    """Unsold stock goes to a wave that is there, opens later, and has the offers. Told once of each entry."""
    by_id = {drop.wave.id: drop for drop in drops}
    ids = {wave: written for written in waves for wave in written.ids()}
    ids_are_known = all(written.ids() for written in waves)
    told: set[str] = set()
    for drop in drops:
        place, target = drop.written.shared.rollover_place, drop.wave.rollover
        if place is None or target is None or drop.written.place.path in told:
            continue
        wrong = None
        if target in by_id:
            wrong = _flaw_of_target(drop, by_id[target])
        elif target not in ids and ids_are_known:
            wrong = _no_such_wave(target, waves, ids, place)
        if wrong:
            told.add(drop.written.place.path)
            place.wrong(wrong)


def _no_such_wave(target: str, waves: Sequence[WrittenWave], ids: dict[str, WrittenWave], place: Place) -> str:
    for written in waves:
        if written.id == target and written.repeat:
            return f"wave {target} is repeated: name one of its occurrences, {written.ids()[0]} to {written.ids()[-1]}"
    return f"{shown(target)} is not a wave of this campaign{place.mistakes.nearest(target, ids)}"


def _flaw_of_target(drop: Drop, target: Drop) -> str | None:
    wave, gets = drop.wave, target.wave
    if gets.opens_at < wave.closes_at:
        return (
            f"wave {gets.id} opens at {gets.opens_at.isoformat()}, before wave {wave.id} closes at "
            f"{wave.closes_at.isoformat()}: unsold stock can only go to a wave that opens later"
        )
    missing = [offer for offer in wave.stock if offer not in gets.stock]
    if missing and target.written.shared.stock is not None:
        return (
            f"wave {gets.id} does not have offer {missing[0]} of wave {wave.id}: give it {missing[0]}: 0 in its stock"
        )
    return None


def check_worth(place: Place, worth: int) -> None:
    """What all claims together can cost must be a number that the script adds up exactly."""
    if worth > CAP_VALUE_MAX:
        place.wrong(
            f"have stock worth {worth:,} minor units; at most {CAP_VALUE_MAX:,} are possible in one campaign: "
            "lower the stock, or what the offers are worth"
        )


def check_cap(cap: Cap, place: Place, drops: Sequence[Drop], worth: int) -> None:
    """A cap below the stock would leave stock that can never be claimed."""
    claims = sum(sum(drop.wave.stock.values()) for drop in drops)
    for key, most, needed in (("claims", cap.claims, claims), ("value", cap.value, worth)):
        if most is not None and most < needed:
            what = "the stock of all waves" if key == "claims" else "what the stock of all waves is worth"
            place.wrong_below(key, f"{most:,} is below {what}, {needed:,}: write at least {needed}, or lower the stock")


def worth_of(drops: Sequence[Drop], offers: Sequence[Offer]) -> int:
    """What all claims of these waves together can cost at most, in minor units."""
    each = {offer.id: offer.value for offer in offers}
    return sum(units * each.get(offer, 0) for drop in drops for offer, units in drop.wave.stock.items())


def check_validity(validity: Validity, place: Place, timezone: str, drops: Sequence[Drop]) -> None:
    """A voucher must not be expired when it is claimed, nor before it is good; of each entry of the file the first such
    wave is told."""
    told: set[str] = set()
    for drop in drops:
        opens_ms, closes_ms = (int(at.timestamp() * 1000) for at in (drop.wave.opens_at, drop.wave.closes_at))
        day = drop.wave.day.isoformat()
        first, last = (period_of(validity, timezone, day, at_ms) for at_ms in (opens_ms, closes_ms))
        if drop.written.place.path in told:
            continue
        if last.expires_at_ms < closes_ms:
            told.add(drop.written.place.path)
            place.wrong(
                f"ends before wave {drop.wave.id} closes at {drop.wave.closes_at.isoformat()}: "
                "late claims would get expired vouchers; let vouchers be good for longer, or close the wave earlier"
            )
        elif first.expires_at_ms <= first.valid_from_ms:
            told.add(drop.written.place.path)
            place.wrong(
                f"ends before it begins, for claims of wave {drop.wave.id}: nobody could use their vouchers; "
                "let them be good for longer, or begin earlier"
            )


def check_use(use: Use, offers: Offers, stores: dict[str, Store | None]) -> None:
    """Every offer needs a store in a city where its vouchers may be used."""
    for offer in offers.offers if use.cities else ():
        cities = [known.city if (known := stores.get(store)) else None for store in offer.stores]
        if None not in cities and not set(cities) & set(use.cities):
            offers.places[offer.id].wrong_below(
                "stores",
                f"none of them is in {', '.join(use.cities)}, where vouchers may be used: add one there",
            )


def check_accounts(root: Place, eligibility: Eligibility | None, drops: Sequence[Drop]) -> None:
    """Lists of accounts are bounded together, not only one by one."""
    rules = [eligibility, *(drop.wave.eligibility for drop in drops)]
    named = sum(len(rule.allow or ()) + len(rule.deny) for rule in rules if rule)
    if named > ACCOUNTS_MAX:
        root.wrong(
            f"allow and deny name {named:,} accounts in all, counted wave by wave; at most {ACCOUNTS_MAX:,} are "
            "possible: use a tag in the users' tokens instead"
        )

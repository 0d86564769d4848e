"""What forbids an apply, each reason with the way out where there is one. Pure: nothing is read.

Once a wave has opened, people have acted upon what it said. It may still close at another time, get more
stock, or let others in; it may not have opened at another time, or have less. What was promised is not
touched by any of this: terms only ever get new versions.
"""

from collections.abc import Iterator
from datetime import datetime

from engine.domain.campaign import Campaign, Wave
from engine.ledger.standings import Standing, WaveStanding, as_it_stands, as_it_will_stand
from engine.ledger.wording import limits, moment, plain

FIXED_ONCE_OPENED = {
    "limits": "some have claimed under the old ones already",
    "by": "claims before and after would be counted for different claimants",
    "currency": "the amounts already promised would be summed with others",
    "timezone": "the days of the claims already made would be others",
}


def refusals_of(before: Campaign | None, after: Campaign, standing: Standing) -> list[str]:
    """Every reason why the file cannot be applied to the campaign as it stands; empty where it can."""
    if before is None:
        return list(_unknown_offers(after))
    opened = {wave.id for wave in before.waves if standing.waves[wave.id].opened}
    return [
        *_unknown_offers(after),
        *_campaign_refusals(before, after, standing, opened),
        *_offer_refusals(before, after, opened),
        *_wave_refusals(before, after, standing),
        *_waves_back(before, after, standing),
    ]


def _unknown_offers(after: Campaign) -> Iterator[str]:
    known = {offer.id for offer in after.offers}
    for wave in after.waves:
        for offer in wave.stock:
            if offer not in known:
                yield f"wave {wave.id} has stock of {offer}, which is not an offer of the campaign"


def _campaign_refusals(before: Campaign, after: Campaign, standing: Standing, opened: set[str]) -> Iterator[str]:
    for field, why in FIXED_ONCE_OPENED.items():
        old, new = getattr(before, field), getattr(after, field)
        if opened and old != new:
            stays = limits(old) if field == "limits" else plain(old)
            yield f"{field} cannot change once a wave has opened ({stays} stays): {why}"
    claimed = standing.claimed
    if before.cap != after.cap:
        for what, cap, used in (
            ("claims", after.cap.claims, claimed.claims),
            ("value", after.cap.value, claimed.value),
        ):
            if cap is not None and cap < used:
                yield f"a cap on {what} of {cap} is below what is claimed already: {used}"
    if before.sandbox != after.sandbox and claimed.claims:
        wish = "become a sandbox" if after.sandbox else "stop being a sandbox"
        yield f"the campaign cannot {wish}: it has {claimed.claims} claims; use another id"


def _offer_refusals(before: Campaign, after: Campaign, opened: set[str]) -> Iterator[str]:
    kept = {offer.id for offer in after.offers}
    for offer in before.offers:
        had = [wave.id for wave in before.waves if wave.id in opened and offer.id in wave.stock]
        if offer.id not in kept and had:
            yield f"offer {offer.id} cannot go away: wave {had[0]} opened with it"


def _wave_refusals(before: Campaign, after: Campaign, standing: Standing) -> Iterator[str]:
    new = {wave.id: wave for wave in after.waves}
    offers = {offer.id for offer in after.offers}
    for wave in before.waves:
        stands = standing.waves[wave.id]
        if wave.id not in new:
            yield from _refuse_going(wave, stands)
            continue
        now, then = as_it_stands(wave, stands), as_it_will_stand(wave, new[wave.id], stands)
        if then.opens_at >= then.closes_at:
            opens, closes = moment(then.opens_at, after.timezone), moment(then.closes_at, after.timezone)
            yield f"wave {wave.id} would open at {opens} and close at {closes}; an operator has moved it: state both"
        elif stands.over:
            yield from _refuse_over(now, then, stands)
        elif stands.opened:
            yield from _refuse_opened(now, then, offers, standing.now, after.timezone)


def _refuse_going(wave: Wave, stands: WaveStanding) -> Iterator[str]:
    if stands.opened:
        yield f"wave {wave.id} has opened: it cannot go away; `dropwave wave close {wave.id}` ends it"
    elif stands.state in ("live", "paused"):
        # It stands in the hot store and would open there, whatever the file says
        yield (
            f"wave {wave.id} is being watched for its opening already: close it before you take it out "
            f"(`dropwave wave close {wave.id}`)"
        )


def _refuse_over(now: Wave, then: Wave, stands: WaveStanding) -> Iterator[str]:
    """Its unsold stock may be on its way to another wave: a change could give it away twice."""
    fields = ("opens_at", "closes_at", "round", "day", "stock", "rollover")
    fixed = [field for field in fields if getattr(now, field) != getattr(then, field)]
    if fixed:
        how = "cancelled" if stands.state == "cancelled" else "closed"
        yield f"wave {now.id} is {how}: {', '.join(fixed)} cannot change any more"


def _refuse_opened(now: Wave, then: Wave, offers: set[str], clock: datetime | None, zone: str) -> Iterator[str]:
    for field, what in (("opens_at", "its opening"), ("round", "its round")):
        if getattr(now, field) != getattr(then, field):
            yield f"wave {now.id} has opened: {what} cannot change"
    if then.closes_at != now.closes_at and clock is not None and then.closes_at <= clock:
        yield (
            f"wave {now.id} cannot close at {moment(then.closes_at, zone)}, which is past; "
            f"`dropwave wave close {now.id}` ends it now"
        )
    for offer, units in now.stock.items():
        if offer in then.stock and then.stock[offer] < units:
            yield (
                f"wave {now.id} has opened: stock of {offer} cannot go down from {units} to {then.stock[offer]}; "
                f"`dropwave wave restock` can lower it to what is claimed"
            )
        elif offer not in then.stock and offer in offers:
            yield f"wave {now.id} has opened: {offer} cannot be taken out of it"


def _waves_back(before: Campaign, after: Campaign, standing: Standing) -> Iterator[str]:
    listed = {wave.id for wave in before.waves}
    for wave in after.waves:
        stands = standing.waves.get(wave.id)
        if wave.id not in listed and stands is not None and stands.over:
            how = "cancelled" if stands.state == "cancelled" else "over"
            yield f"wave {wave.id} was {how} before it left the file, and would never open again: give it another id"

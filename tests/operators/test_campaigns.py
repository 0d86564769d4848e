"""Random campaigns from file to decision: what the file says is what the script does.

Each example is drawn, written as YAML, read, applied to the ledger, put by the steward, and asked for claims. Days,
instants and limits are worked out a second time here, with the calendar of the standard library alone. The files lie
in years to come, around clock changes; so that something is open, the waves are then put once more with other
instants and everything else as the file has it. Nothing but the two instants of a wave is changed for that.
"""

import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.campaign import Cap, Limit
from engine.domain.decisions import OfferState, WaveState
from engine.domain.outcome import Ask, Claimed, Outcome
from engine.errors import CampaignFileError
from engine.hotstore.decide import Late
from engine.scheduling.files import parse_campaign
from engine.scheduling.performing import change_rules
from tests.hotstore.model import Model
from tests.operators.house import FULL, OPS, House
from tests.support.drop import HOUR_MS, LAG_MAX, Drop

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "UTC"]
CHANGES = {
    "Europe/Berlin": [date(2027, 3, 28), date(2027, 10, 31)],
    "America/New_York": [date(2027, 3, 14), date(2027, 11, 7)],
    "Australia/Lord_Howe": [date(2027, 4, 4), date(2027, 10, 3)],
}
"""Days on which clocks are set."""
FACES = {"o1": 500, "o2": 300, "o3": 200}
STEPS = {"day": timedelta(days=1), "week": timedelta(weeks=1)}


@dataclass
class Entry:
    """One entry of `waves`."""

    id: str
    round: str
    at: datetime
    lasts_h: int
    every: str | None
    times: int
    skipped: set[date]
    stock: dict[str, int]

    def days(self) -> list[date]:
        day, found = self.at.date(), []
        while len(found) < (self.times if self.every else 1):
            if day not in self.skipped:
                found.append(day)
            day += STEPS[self.every or "day"]
        return found

    def ids(self) -> list[str]:
        return [f"{self.id}-b{no:03}" for no in range(1, self.times + 1)] if self.every else [self.id]

    def yaml(self) -> str:
        skipped = ", ".join(f'"{day}"' for day in sorted(self.skipped))
        repeat = f", repeat: {{every: {self.every}, times: {self.times}, except: [{skipped}]}}" if self.every else ""
        stock = ", ".join(f"{offer}: {units}" for offer, units in self.stock.items())
        return (
            f'  - {{id: {self.id}, round: {self.round}, opens_at: "{self.at:%Y-%m-%d %H:%M}", lasts: {self.lasts_h}h'
            f"{repeat}, stock: {{{stock}}}}}"
        )


@dataclass
class Written:
    """A campaign as a person would write it."""

    id: str
    zone: str
    by: str
    limits: list[Limit]
    cap: Cap
    entries: list[Entry]

    def yaml(self) -> str:
        limits = ", ".join(f"{{max: {limit.max}, per: {limit.per}}}" for limit in self.limits)
        cap = {"claims": self.cap.claims, "value": self.cap.value}
        capped = ", ".join(f"{key}: {most}" for key, most in cap.items() if most is not None)
        offers = [
            f"  - {{id: {id}, title: {id}, kind: instant, face: {face}, stores: all}}" for id, face in FACES.items()
        ]
        return "\n".join(
            [
                f"campaign: {self.id}",
                "title: Spring",
                f"timezone: {self.zone}",
                "currency: EUR",
                f"by: {self.by}",
                f"limits: [{limits}]",
                *([f"cap: {{{capped}}}"] if capped else []),
                "validity: {days_after_claim: 9}",
                "stores: {s1: {title: Shop, merchant: m1, city: Town}}",
                "offers:",
                *offers,
                "waves:",
                *(entry.yaml() for entry in self.entries),
            ]
        )

    def instants_are_clear(self) -> bool:
        """Whether each opening is a local time that comes exactly once on its day."""
        zone = ZoneInfo(self.zone)
        for entry in self.entries:
            for day in entry.days():
                local = datetime.combine(day, entry.at.time(), zone)
                if local.utcoffset() != local.replace(fold=1).utcoffset():
                    return False
        return True

    def waves(self) -> list[WaveState]:
        """Every wave as the claim script should have it, in the order of their numbers."""
        zone, numbers = ZoneInfo(self.zone), {offer: str(no) for no, offer in enumerate(FACES, start=1)}
        states = []
        for entry in self.entries:
            for id, day in zip(entry.ids(), entry.days(), strict=True):
                opens_ms = round(datetime.combine(day, entry.at.time(), zone).timestamp() * 1000)
                offers = {numbers[o]: OfferState(units, 1, FACES[o]) for o, units in entry.stock.items()}
                closes_ms = opens_ms + entry.lasts_h * HOUR_MS
                states.append(WaveState(id, entry.round, day.isoformat(), opens_ms, closes_ms, offers, revision=1))
        return states


@st.composite
def entries(draw: st.DrawFn, zone: str, place: int) -> Entry:
    around = draw(st.sampled_from(CHANGES.get(zone, [date(2027, 5, 5)]))) + timedelta(days=draw(st.integers(-3, 1)))
    at = datetime.combine(around, time(draw(st.sampled_from([0, 1, 2, 3, 10, 23])), draw(st.sampled_from([0, 15, 30]))))
    every = draw(st.sampled_from([None, "day", "week"]))
    times = draw(st.integers(2, 4)) if every else 1
    step = STEPS[every or "day"]
    skipped = {around + step * nth for nth in draw(st.sets(st.integers(1, times - 1), max_size=1))} if every else set()
    chosen = draw(st.lists(st.sampled_from(list(FACES)), min_size=1, max_size=3, unique=True))
    stock = {offer: draw(st.integers(0, 4)) for offer in chosen}
    return Entry(
        f"w{place}", draw(st.sampled_from(["r1", "r2"])), at, draw(st.integers(1, 30)), every, times, skipped, stock
    )


@st.composite
def campaigns(draw: st.DrawFn) -> Written:
    zone = draw(st.sampled_from(ZONES))
    campaign_max = draw(st.integers(2, 6))
    limits = [Limit(campaign_max, "campaign")]
    narrower = campaign_max
    for per in ("round", "wave"):
        if narrower > 1 and draw(st.booleans()):
            narrower = draw(st.integers(1, narrower - 1))
            limits.append(Limit(narrower, per))  # type: ignore[arg-type]  # one of the scopes
    if draw(st.booleans()):
        wave_max = next((limit.max for limit in limits if limit.per == "wave"), 0)
        if wave_max + 1 < campaign_max:
            limits.append(Limit(draw(st.integers(wave_max + 1, campaign_max - 1)), "day"))
    drawn = [draw(entries(zone, place)) for place in range(1, draw(st.integers(1, 3)) + 1)]
    units = sum(sum(entry.stock.values()) * entry.times for entry in drawn)
    worth = sum(sum(n * FACES[o] for o, n in entry.stock.items()) * entry.times for entry in drawn)
    cap = draw(
        st.sampled_from([Cap(), Cap(claims=max(1, units)), Cap(value=max(1, worth)), Cap(max(1, units), max(1, worth))])
    )
    return Written("c", zone, draw(st.sampled_from(["account", "person"])), draw(st.permutations(limits)), cap, drawn)


@pytest.fixture
def numbered() -> list[int]:
    return []


@settings(
    max_examples=400 if FULL else 40,
    phases=tuple(Phase) if FULL else (Phase.explicit, Phase.reuse, Phase.generate),  # shrinking takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(written=campaigns(), chance=st.randoms(use_true_random=False), cut_cap=st.booleans())
async def test_what_the_file_says_is_what_the_script_does(
    house: House, numbered: list[int], written: Written, chance: random.Random, cut_cap: bool
) -> None:
    numbered.append(1)
    written.id = f"c{len(numbered)}"
    for entry in written.entries:
        entry.id = f"{written.id}-{entry.id}"
    if not written.instants_are_clear():
        with pytest.raises(CampaignFileError, match=r"comes twice|does not exist"):
            parse_campaign(written.yaml(), "drawn")
        return
    await house.store.call("FLUSHALL")
    await begin(house, parse_campaign(written.yaml(), "drawn"))
    expected = dict(enumerate(written.waves(), start=1))
    view = await house.view()
    assert view.waves == expected
    assert view.left == {(no, int(o)): s.total for no, wave in expected.items() for o, s in wave.offers.items()}
    cap = written.cap
    if (
        cut_cap
    ):  # a cap that binds; a file may not have one below its stock, so it is put as it would be by a lower total
        cap = Cap(claims=3)
        await put_cap(house, cap)
    await compare(house, written, cap, expected, chance)


async def begin(house: House, campaign: Any) -> None:
    if house.steward._lease is None:
        await house.steward._lead()
    async with house.ledger.transaction() as connection:  # the examples before are over
        await connection.execute("update waves set opens_at = '2001-01-01', closes_at = '2001-01-02'")
    await house.apply(campaign)
    await house.steward.look_once()


async def put_cap(house: House, cap: Cap) -> None:
    rules = replace((await house.view()).rules, cap=cap)
    assert await change_rules(house.store, house.campaign, "put_campaign", OPS, lambda _: rules)


async def compare(
    house: House, written: Written, cap: Cap, expected: dict[int, WaveState], chance: random.Random
) -> None:
    """Two dozen asks, decided by the script and by the model."""
    drop = Drop(house.store, house.catalogue, chance.randint(0, 9_999))
    drop.epoch = (await house.view()).epoch
    now_ms = await drop.now_ms()
    opened = {"open": (-1, 1), "open too": (-9, 9), "to come": (1, 2), "over": (-2, -1)}
    for no, state in expected.items():
        opens_h, closes_h = opened[chance.choice(list(opened))]
        expected[no] = replace(state, opens_ms=now_ms + opens_h * HOUR_MS, closes_ms=now_ms + closes_h * HOUR_MS)
        await drop.put(no, expected[no])
    view = await drop.view()
    model = Model(written.limits, cap)
    model.epoch, model.last, model.settled, model.waves = view.epoch, view.last, view.last, dict(expected)
    model.left = dict(view.left)
    for _ in range(8):
        asks = [an_ask(written, expected, chance) for _ in range(4)]
        codes = [drop.code() for _ in asks]
        batch = await drop.batch(*asks, codes=codes)
        pairs = list(zip(asks, codes, strict=True))
        said = model.batch(pairs, batch.now_ms, batch.now_ms + HOUR_MS, LAG_MAX)
        assert [shown(answer) for answer in batch.answers] == [shown_by_model(answer) for answer in said]


def an_ask(written: Written, waves: dict[int, WaveState], chance: random.Random) -> Ask:
    wave_no = chance.choice(list(waves))
    offers = list(waves[wave_no].offers)
    wanted = tuple(int(no) for no in chance.sample(offers, chance.randint(1, len(offers))))
    account = f"u{chance.randint(1, 4)}"
    person = "p1" if account in ("u1", "u2") else "p2"  # a person may have several accounts
    claimant = person if written.by == "person" else account
    return Ask(wave_no, chance.randint(1, 2), wanted, claimant, account)


def shown(answer: Outcome | Late) -> tuple[Any, ...]:
    assert not isinstance(answer, Late)
    if isinstance(answer, Claimed):
        claim = answer.claim
        kind = "held" if answer.replayed else "new"
        return kind, claim.wave_no, claim.offer_no, claim.unit, claim.nth, claim.sequence, claim.code
    held = answer.claim.code if answer.claim else ""
    return str(answer.code), held


def shown_by_model(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    word, *rest = answer
    if word in ("new", "held"):
        claim = rest[0]
        return word, *(claim[name] for name in ("wave_no", "offer_no", "unit", "nth", "sequence", "code"))
    held = rest[0]["code"] if word in ("already_claimed", "limit_reached") and rest and rest[0] else ""
    return word, held

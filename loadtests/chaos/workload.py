"""Users, waves and acts of a drop, made from a seed and nothing else: no clock, no answer changes what is drawn.

Each user has a source of chance of its own, named by seed, drop and number, so that what one does never depends on how
fast another was. Only how often somebody asks again depends on the answers.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

OFFERS: Final = ("tea", "rice", "book")
PROBE: Final = "probe"
"""An offer with more stock than anybody asks for: who probes it sees at once when claims are granted again."""
PROBE_STOCK: Final = 100_000
DROP_S: Final = 4.0
"""Users come within this time after the first opening."""
SECOND_WAVE_S: Final = 2.0
LASTS_S: Final = 600.0
SHORT_WAVE_S: Final = 3.0
"""The third wave closes in mid-drop."""
PARALLEL: Final = 20


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that a user does at a time after the first opening: `times` equal claims at once, or a look."""

    at_s: float
    wave: str
    offers: tuple[str, ...]
    request_no: int = 1
    times: int = 1
    looks: bool = False
    """Asks for the list of its claims afterwards."""


@dataclass(frozen=True, slots=True)
class User:
    """An account. `by_ticket`: gets a ticket first and claims with that; else with its token."""

    account: str
    person: str
    by_ticket: bool
    asks: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class Act:
    """What an operator does at a time after the first opening; `stock` is what a restock adds."""

    at_s: float
    kind: str
    wave: str
    stock: tuple[tuple[str, int], ...] = ()
    shift_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One drop."""

    campaign: str
    limits: tuple[tuple[int, str], ...]
    by: str
    stocks: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    """(wave, ((offer, units), …)), in the order of opening."""
    users: tuple[User, ...]
    acts: tuple[Act, ...]
    seed: str
    number: int

    @property
    def waves(self) -> tuple[str, ...]:
        """Their ids."""
        return tuple(wave for wave, _ in self.stocks)

    @property
    def stock(self) -> int:
        """Units in all, without those of the probe and before any restock."""
        return sum(units for _, stock in self.stocks for offer, units in stock if offer != PROBE)

    def chance(self, *name: object) -> random.Random:
        """A source of chance of that name, the same in each run of the seed."""
        return random.Random("/".join(map(str, (self.seed, *name))))

    def campaign_file(self, opens_s: float) -> dict[str, Any]:
        """The campaign as JSON, with the first wave opening at that Unix time."""
        return {
            "campaign": self.campaign,
            "title": "Chaos",
            "timezone": "Asia/Shanghai",
            "currency": "CNY",
            "limits": [{"max": most, "per": per} for most, per in self.limits],
            "by": self.by,
            "validity": {"days_after_claim": 7},
            "stores": {"shop": {"title": "Shop", "merchant": "m", "city": "Wuhan"}},
            "offers": [
                {"id": offer, "title": offer, "kind": "instant", "face": 1_000, "stores": "all"}
                for offer in (*OFFERS, PROBE)
            ],
            "waves": [
                {
                    "id": wave,
                    "opens_at": instant(opens_s + self.opens_after_s(wave)),
                    "closes_at": instant(opens_s + self.closes_after_s(wave)),
                    "stock": dict(stock),
                }
                for wave, stock in self.stocks
            ],
        }

    def opens_after_s(self, wave: str) -> float:
        """After the first one."""
        return SECOND_WAVE_S if wave == self.waves[1] else 0.0

    def closes_after_s(self, wave: str) -> float:
        """After the first one's opening."""
        return SHORT_WAVE_S if wave == self.waves[2] else LASTS_S


def instant(unix_s: float) -> str:
    """RFC 3339, in UTC. Campaigns know whole seconds."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")


_RULES: Final[Sequence[tuple[tuple[tuple[int, str], ...], str]]] = (
    (((1, "campaign"),), "person"),
    (((1, "wave"), (2, "campaign")), "account"),
    (((2, "wave"),), "account"),
    (((1, "wave"),), "person"),
)


def make_plan(seed: int, number: int, users: int) -> Plan:
    """The drop of that number in the run of that seed, for about as many users; demand is above the stock."""
    name = f"{seed}/{number}"
    draw = random.Random(name)
    limits, by = _RULES[draw.randrange(len(_RULES))]
    campaign = f"chaos-{seed}-{number}"
    waves = tuple(f"{campaign}-w{no}" for no in (1, 2, 3))
    units = max(3, users // 12)
    stocks = tuple(
        (wave, (*((offer, draw.randint(units // 2, units)) for offer in OFFERS), (PROBE, PROBE_STOCK)))
        for wave in waves
    )
    per_wave = min(most for most, _ in limits)
    people = tuple(_user(name, f"d{number}", no, waves, per_wave, by) for no in range(users))
    return Plan(campaign, limits, by, stocks, people, _acts(draw, waves), name, number)


def _user(name: str, drop: str, number: int, waves: Sequence[str], per_wave: int, by: str) -> User:
    draw = random.Random(f"{name}/user/{number}")
    account = f"{drop}-u{number}"
    # Where persons are counted, every third user is another account of the one before it.
    person = f"{drop}-p{number - 1 if by == 'person' and number % 3 == 2 else number}"
    asks = []
    wanted = draw.sample(waves, draw.choice((1, 1, 2, 3)))
    for wave in wanted:
        offers = tuple(draw.sample(OFFERS, draw.choice((1, 1, 2, 3))))
        at_s = draw.uniform(-0.3, DROP_S * draw.random())
        times = PARALLEL if draw.random() < 0.04 else draw.choice((1, 1, 1, 2))
        asks.append(Ask(at_s, wave, offers, 1, times, looks=draw.random() < 0.2))
        if per_wave > 1 and draw.random() < 0.5:
            asks.append(Ask(at_s + draw.uniform(0, 1), wave, offers, 2))
    return User(account, person, draw.random() < 0.5, tuple(sorted(asks, key=lambda ask: ask.at_s)))


def _acts(draw: random.Random, waves: Sequence[str]) -> tuple[Act, ...]:
    first, second, _ = waves
    paused_s = SECOND_WAVE_S + draw.uniform(0.3, 1.5)
    acts = [
        Act(paused_s, "pause", second),
        Act(paused_s + draw.uniform(0.2, 0.7), "resume", second),
        Act(draw.uniform(0.5, DROP_S), "restock", first, ((draw.choice(OFFERS), draw.randint(1, 5)),)),
    ]
    if draw.random() < 0.5:
        acts.append(Act(draw.uniform(-0.5, 0.5), "move", second, shift_s=draw.choice((1.0, 2.0))))
    return tuple(sorted(acts, key=lambda act: act.at_s))

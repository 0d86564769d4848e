"""The plan of a rehearsal: every user, drawn from one seed, so that a run can be repeated.

Each offer is the first choice of at least twice as many entitled users as it has units. Whoever hangs up
before the answer does not count for that: such a claim may never have arrived.
"""

import random
from collections.abc import Mapping, Sequence

from msgspec import Struct

from engine.errors import UsageError
from engine.rehearsal.users import STRANGERS, Kind, User

DEMAND = 2
"""First choices for each unit."""
STRANGERS_PERMILLE = 30
STRANGERS_OF_A_KIND_MIN = 2
VANISHING_PERMILLE = 15
VANISHING_MIN = 4

ENTITLED_WEIGHTS: dict[Kind, int] = {
    Kind.PLAIN: 60,
    Kind.EARLY: 8,
    Kind.PARALLEL: 4,
    Kind.REPEATING: 6,
    Kind.GREEDY: 5,
    Kind.CHOOSING: 6,
    Kind.MORE: 2,
    Kind.TICKETED: 4,
    Kind.BEARER: 5,
}
"""How common each kind is among those who have the right to a claim, VANISHING apart."""

EARLY_MS = 4_000
"""The earliest users come this long before the opening, or at half of the countdown where that is shorter."""
CROWD_MS = 300
"""Half of all users press the button within this time after the opening, as a crowd does at 20:00:00."""
SPREAD_MS = 6_000
"""The other half comes later, up to this late: a fifth of it on average."""
AGAIN_MAX = 3
"""Times that a user asks again later, each after up to a third of the spread."""
TIMES_MAX = 8


class Plan(Struct, frozen=True):
    """Who comes to a wave. `users` are in order of arrival; `claims_max` is what the limits allow one user in it."""

    wave: str
    seed: int
    stock: dict[str, int]
    claims_max: int
    users: tuple[User, ...]


def users_needed(stock: Mapping[str, int]) -> int:
    """The least number of users with which every offer is wanted twice and every kind of stranger comes."""
    return DEMAND * sum(stock.values()) + VANISHING_MIN + STRANGERS_OF_A_KIND_MIN * len(STRANGERS)


def draw_plan(
    wave: str,
    stock: Mapping[str, int],
    users: int,
    seed: int,
    *,
    claims_max: int,
    countdown_ms: int,
    tokens: bool,
    spread_ms: int = SPREAD_MS,
    prefix: str = "",
) -> Plan:
    """The plan of that many users. `stock` is units by offer id. `tokens`: whether a token can be entitled at all,
    which it cannot where only the accounts of a list may claim. `prefix` begins every account.

    Raises UsageError where there are too few users.
    """
    if not any(stock.values()):
        raise UsageError(f"wave {wave} has no stock: there is nothing to claim")
    needed = users_needed(stock)
    if users < needed:
        raise UsageError(
            f"wave {wave} has {sum(stock.values()):,} units. For every offer to be wanted by {DEMAND} users for each "
            f"unit, with strangers among them, it takes --users {needed} or more"
        )
    # Not for secrets: the same seed has to give the same users.
    draw = random.Random(seed)  # noqa: S311
    drawn = _Draw(draw, stock, claims_max, countdown_ms, spread_ms, tokens, prefix)
    strangers = max(STRANGERS_OF_A_KIND_MIN * len(STRANGERS), min(users - needed, users * STRANGERS_PERMILLE // 1_000))
    vanishing = max(
        VANISHING_MIN, min(users - strangers - DEMAND * sum(stock.values()), users * VANISHING_PERMILLE // 1_000)
    )
    wanted = [offer for offer, units in stock.items() for _ in range(DEMAND * units)]
    entitled = users - strangers - vanishing
    wanted += draw.choices(list(stock), list(stock.values()), k=entitled - len(wanted))
    everybody = [(drawn.kind(), offer) for offer in wanted]
    everybody += [(Kind.VANISHING, drawn.offer()) for _ in range(vanishing)]
    everybody += [(STRANGERS[place % len(STRANGERS)], drawn.offer()) for place in range(strangers)]
    draw.shuffle(everybody)
    planned = [drawn.user(number, kind, offer) for number, (kind, offer) in enumerate(everybody)]
    return Plan(wave, seed, dict(stock), claims_max, tuple(sorted(planned, key=lambda user: user.arrives_ms)))


class _Draw:
    """Draws what a user does."""

    def __init__(
        self,
        draw: random.Random,
        stock: Mapping[str, int],
        claims_max: int,
        countdown_ms: int,
        spread_ms: int,
        tokens: bool,
        prefix: str,
    ) -> None:
        self._draw = draw
        self._prefix = prefix
        self._spread_ms = spread_ms
        self._offers = list(stock)
        self._units = list(stock.values())
        self._early_ms = min(EARLY_MS, countdown_ms // 2)
        left_out = set() if tokens else {Kind.TICKETED, Kind.BEARER}
        left_out |= {Kind.MORE} if claims_max == 1 else {Kind.GREEDY}  # above 1, another offer is no greed
        left_out |= {Kind.CHOOSING, Kind.GREEDY} if len(self._offers) == 1 else set()
        self._kinds = [kind for kind in ENTITLED_WEIGHTS if kind not in left_out]
        self._weights = [ENTITLED_WEIGHTS[kind] for kind in self._kinds]

    def kind(self) -> Kind:
        """A kind of user with the right to a claim."""
        return self._draw.choices(self._kinds, self._weights)[0]

    def offer(self) -> str:
        """An offer, the more likely the more units it has."""
        return self._draw.choices(self._offers, self._units)[0]

    def user(self, number: int, kind: Kind, offer: str) -> User:
        """A user of that kind whose first choice is that offer."""
        others = [other for other in self._offers if other != offer]
        offers: tuple[str, ...] = (offer,)
        if kind is Kind.CHOOSING:
            offers += tuple(self._draw.sample(others, min(len(others), self._draw.randint(1, 3))))
        return User(
            number=number,
            kind=kind,
            offers=offers,
            arrives_ms=self._arrives_ms(kind),
            other_offer=self._draw.choice(others) if others else "",
            times=self._draw.randint(3, TIMES_MAX) if kind is Kind.PARALLEL else 1,
            again_ms=tuple(self._draw.randint(0, self._spread_ms // 3) for _ in range(self._times_again(kind))),
            prefix=self._prefix,
        )

    def _arrives_ms(self, kind: Kind) -> int:
        if kind in (Kind.EARLY, Kind.TICKETED):
            return -self._draw.randint(self._early_ms // 8, self._early_ms)
        if self._draw.random() < 0.5:
            return self._draw.randint(0, CROWD_MS)
        return min(self._spread_ms, CROWD_MS + int(self._draw.expovariate(5 / self._spread_ms)))

    def _times_again(self, kind: Kind) -> int:
        if kind is Kind.REPEATING:
            return self._draw.randint(1, AGAIN_MAX)
        return self._draw.randint(0, 1) if kind is Kind.VANISHING else 0  # some never ask what became of it


def first_choices(users: Sequence[User]) -> dict[str, int]:
    """How many entitled users have each offer as their first choice, those who hang up left out."""
    wanted: dict[str, int] = {}
    for user in users:
        if user.entitled and user.kind is not Kind.VANISHING:
            wanted[user.offers[0]] = wanted.get(user.offers[0], 0) + 1
    return wanted

"""What a card pack is asked for: `?state=…&limit=…&after=…`."""

import re
from collections.abc import Mapping
from typing import Final, Protocol, get_args

from msgspec import Struct

from engine.domain.voucher import State
from engine.gateway.answer import Words
from engine.gateway.json_objects import invalid
from engine.gateway.refusals import Problem
from engine.ledger.cards import CardPlace

CARDS_MAX: Final = 100
"""Vouchers on one page; some 700 bytes each."""
CARDS_USUAL: Final = 50
SHOWN_STATES: Final[tuple[State, ...]] = tuple(state for state in get_args(State) if state != "deleted")
"""What a card can be; what its holder has deleted is not shown."""
CURSOR: Final = r"[0-9]{1,14}\.[0-9]{1,5}\.[0-9]{1,18}\.[0-9]{1,18}"
"""What `after` looks like."""

_CURSOR: Final = re.compile(CURSOR, re.ASCII)
_LISTED: Final = ", ".join(SHOWN_STATES)
_BAD_STATE: Final = invalid(
    "state", Words(f"state has to be some of {_LISTED}, separated by commas", f"state 必须取自 {_LISTED}，以逗号分隔")
)
_BAD_LIMIT: Final = invalid(
    "limit", Words(f"limit has to be a whole number from 1 to {CARDS_MAX}", f"limit 必须是 1 到 {CARDS_MAX} 的整数")
)
_BAD_AFTER: Final = invalid(
    "after",
    Words("after has to be what an answer gave as next_after", "after 必须是上一页响应中的 next_after"),
)


class Query(Protocol):
    """The query of an address; a name may stand several times."""

    def getall(self, key: str, default: list[str], /) -> list[str]:
        """Every value of that name."""


class CardQuery(Struct, frozen=True):
    """Which cards, and from where on."""

    states: frozenset[State]
    cards_max: int
    after: CardPlace | None


def read_card_query(query: Query) -> CardQuery | Problem:
    """What is asked for, or `invalid_request` with what is right instead. Never raises."""
    named = {name: query.getall(name, []) for name in ("state", "limit", "after")}
    states = _states(named["state"])
    if isinstance(states, Problem):
        return states
    limits, cursors = named["limit"], named["after"]
    if len(limits) > 1 or not all(re.fullmatch("[0-9]{1,3}", text, re.ASCII) for text in limits):
        return _BAD_LIMIT
    cards_max = int(limits[0]) if limits else CARDS_USUAL
    if not 1 <= cards_max <= CARDS_MAX:
        return _BAD_LIMIT
    if len(cursors) > 1 or not all(_CURSOR.fullmatch(text) for text in cursors):
        return _BAD_AFTER
    return CardQuery(states, cards_max, _place(cursors[0]) if cursors else None)


def cursor_of(place: CardPlace) -> str:
    """A place as it stands in an address."""
    return f"{place.claimed_at_ms}.{place.campaign_no}.{place.epoch}.{place.sequence}"


def _states(texts: list[str]) -> frozenset[State] | Problem:
    if not texts:
        return frozenset(SHOWN_STATES)
    known: Mapping[str, State] = {state: state for state in SHOWN_STATES}
    wanted = [part.strip() for text in texts for part in text.split(",")]
    if not all(part in known for part in wanted):
        return _BAD_STATE
    return frozenset(known[part] for part in wanted)


def _place(text: str) -> CardPlace:
    return CardPlace(*(int(part) for part in text.split(".")))

"""The wave that is claimed in: one of the run's own, in a sandbox campaign, or one that is named."""

import math
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import gevent

from engine.errors import CannotRun
from loadtests.swarm.operator import Operator, OperatorRefused
from loadtests.swarm.plan import Plan
from loadtests.swarm.verdict import Seen

LASTS: Final = timedelta(hours=12)
"""A wave of the run's own; it is closed at the end of the run."""
PUT_S: Final = 20.0
"""The steward puts a wave within a second; past this something is broken."""
_LOOK_S: Final = 0.1
_OFFERS: Final = ("ten", "five")
MERCHANT_OF_ITS_OWN: Final = "-m"
"""Behind the name of the run's own campaign: no other campaign has its merchant and its stores."""
WITH_OFFERS: Final = "-s1"
TAKEN_AWAY: Final = "-s2"
"""A store whose offers `worsen` ends."""
WITHOUT_OFFERS: Final = "-s3"
"""Of the same merchant; takes none of its vouchers but the one that nobody can claim."""


class Stage(NamedTuple):
    """What every worker has to know. It travels from the master as a dict, by `_asdict`."""

    mark: str
    wave: str
    offers: tuple[str, ...]
    is_own: bool
    shares: int
    """Among how many workers a file of tokens is shared out."""
    seed: int
    plan: dict[str, Any]

    @classmethod
    def read(cls, members: dict[str, Any]) -> "Stage":
        """From the dict that has travelled: a message makes lists of tuples."""
        return cls(**{**members, "offers": tuple(members["offers"])})


def put_own_wave(operator: Operator, mark: str, plan: Plan) -> tuple[str, tuple[str, ...]]:
    """A sandbox campaign with one wave; its id and offers. It opens after a countdown, once the users have come."""
    wave = f"load-{mark}"
    spawn_s = 0.0 if plan.renews else plan.users / plan.spawn_per_s
    now_ms = operator.get("/v1/time")["server_time_ms"]
    opens_at = datetime.fromtimestamp(math.ceil(now_ms / 1000 + spawn_s + plan.countdown_s), UTC)
    operator.put(f"/v1/ops/campaigns/{wave}?reason=load-test", _document(wave, plan.stock, opens_at))
    return wave, _OFFERS


def worsen(operator: Operator, wave: str, plan: Plan, opens_ms: int) -> None:
    """Worse terms for whoever claims from now on. Raises OperatorRefused."""
    opens_at = datetime.fromtimestamp(opens_ms / 1000, UTC)
    worse = _document(wave, plan.stock, opens_at, is_worse=True)
    operator.put(f"/v1/ops/campaigns/{wave}?reason=load-test", worse)


def look(operator: Operator, wave: str, within_s: float) -> Seen:
    """The wave as operators see it, once it is in the hot store: one that was just put takes a moment."""
    ends_s = time.monotonic() + within_s
    while True:
        try:
            seen = Seen.of(operator.get(f"/v1/ops/waves/{wave}"))
        except OperatorRefused as error:
            if error.code != "unknown_wave" or time.monotonic() > ends_s:
                raise
        else:
            if None not in seen.left.values():
                return seen
            if time.monotonic() > ends_s:
                raise CannotRun(f"the wave {wave} is not in the hot store: nobody can claim in it")
        gevent.sleep(_LOOK_S)


def _document(campaign: str, stock: int, opens_at: datetime, *, is_worse: bool = False) -> dict[str, Any]:
    first, second = _OFFERS
    stores = [campaign + WITH_OFFERS] if is_worse else [campaign + WITH_OFFERS, campaign + TAKEN_AWAY]
    common = {"kind": "threshold", "stores": stores}
    shop = {"title": "A shop", "merchant": campaign + MERCHANT_OF_ITS_OWN, "city": "武汉"}
    part = 2 if is_worse else 1
    return {
        "campaign": campaign,
        "title": "Load test",
        "timezone": "Asia/Shanghai",
        "currency": "CNY",
        "sandbox": True,
        "limits": [{"max": 1, "per": "campaign"}],
        "validity": {"days_after_claim": 7},
        "stores": dict.fromkeys([*stores, campaign + WITHOUT_OFFERS], shop),
        "offers": [
            common | {"id": first, "title": "Ten off", "face": 1000 // part, "min_spend": 3000 * part},
            common | {"id": second, "title": "Five off", "face": 500 // part, "min_spend": 1500 * part},
        ],
        "waves": [
            {
                "id": campaign,
                "opens_at": opens_at.isoformat(timespec="seconds"),
                "closes_at": (opens_at + LASTS).isoformat(timespec="seconds"),
                "stock": {first: stock - stock // 2, second: stock // 2},
            }
        ],
    }

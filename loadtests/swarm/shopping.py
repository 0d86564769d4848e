"""A winner's way through shops: a look at the card, and one of the errands below, until the voucher is used.

payment   redeemed; now and then for too little or in the wrong store first, quoted before, or asked for again behind it
order     held for an unpaid order, where another till has to see that; then paid, or let go and redeemed elsewhere
refund    redeemed and refunded: by the merchant, then it is used once more; by the user, then it stays used
twice     the same request twice at the same moment
crowd     shown at every till of the store at once
"""

import random
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import gevent
from locust.contrib.fasthttp import ResponseContextManager

from loadtests.swarm import contradictions as kinds
from loadtests.swarm.accounts import Account
from loadtests.swarm.answers import terms_of
from loadtests.swarm.crowd import Crowd
from loadtests.swarm.line import Line, flaw, read
from loadtests.swarm.receipts import Receipts
from loadtests.swarm.stage import WITHOUT_OFFERS
from loadtests.swarm.till_answers import (
    AGAIN,
    ALREADY,
    FINE_AT_TILLS,
    LOCKED,
    TOO_LITTLE,
    WRONG_STORE,
    Heard,
    Redemption,
)
from loadtests.swarm.tills import TRIES_MAX, Till, Tills

REDEMPTIONS: Final = "/v1/merchant/redemptions"
LOCKS: Final = "/v1/merchant/locks"
QUOTES: Final = "/v1/merchant/quotes"
_SPENT_MAX: Final = 20_000
"""Beyond what the voucher asks for, in minor units."""
_BY_TIME: Final = ("not_yet_effective", "expired")
_HOLD_MS: Final = 60_000
_AGAIN_S: Final = 0.5


class Card(NamedTuple):
    """What its holder sees."""

    terms: str
    stores: tuple[str, ...]
    state: str
    kind: str
    face: int | None
    min_spend: int | None


class Shopping:
    """One voucher's errand; `draw` decides which, and how."""

    def __init__(
        self, line: Line, crowd: Crowd, tills: Tills, receipts: Receipts, account: Account, draw: random.Random
    ) -> None:
        self._line = line
        self._crowd = crowd
        self._tills = tills
        self._receipts = receipts
        self._account = account
        self._draw = draw
        self._store = ""
        self._amount = 0
        self._discount: int | None = None

    def make(self) -> None:
        """From the first look at the card to the last."""
        gevent.sleep(self._draw.uniform(0.5, 1.5) * self._crowd.plan.shop_delay_s)
        card = self._look()
        if card and card.state not in ("pending", *_BY_TIME) and self._crowd.accounts.is_fresh:
            self._compare(card)
        self._store = self._tills.among(card.stores) if card and card.state == "pending" else ""
        if card is None or not self._store:
            self._receipts.sales.unusable += 1
            return
        self._amount = (card.min_spend or 0) + self._draw.randint(1, _SPENT_MAX)
        if card.kind in ("threshold", "instant") and card.face is not None:
            self._discount = min(card.face, self._amount)
        errands: dict[Callable[[], None], int] = {
            self._payment: 8, self._order: 5, self._refund: 4, self._twice: 2, self._crowd_of_tills: 1,
        }  # fmt: skip
        self._draw.choices(list(errands), list(errands.values()))[0]()
        self._compare(self._look())

    def _payment(self) -> None:
        draw, till = self._draw, self._till()
        before = draw.random()
        if before < 0.2 and self._amount > 1:
            self._ask_for_too_little(till)
        elif before < 0.4 and self._crowd.stage.is_own:
            self._ask_in_the_wrong_store()
        elif before < 0.7:
            self._quote(till)
        asked = self._payment_at(till)
        if self._redeem(till, asked) is None:
            return
        for _ in range(draw.randint(0, 2)):
            self._redeem(till, asked)
        if draw.random() < 0.3:
            other = self._till()
            self._receipts.expect(ALREADY, self._tills.ask(other, "redeem", REDEMPTIONS, self._payment_at(other)))

    def _order(self) -> None:
        till, other = self._till(), self._till()
        order = self._body(till) | {"hold_ms": _HOLD_MS}
        heard = self._tills.ask(till, "lock", LOCKS, order)
        if heard.told.code in AGAIN:
            self._receipts.is_open = True
            return
        if heard.told.code != "ok":
            self._receipts.add(kinds.NOT_TAKEN, heard.told.code)
            return
        self._receipts.expect(LOCKED, self._tills.ask(other, "redeem", REDEMPTIONS, self._payment_at(other)))
        if self._draw.random() < 0.5:
            self._redeem(till, self._payment_at(till) | {"order_no": order["order_no"]})
            return
        path = f"{LOCKS}/{heard.members['lock']['id']}/release"
        self._receipts.expect("ok", self._tills.ask(till, "release", path, {"clerk": "load"}))
        self._redeem(other, self._payment_at(other))

    def _refund(self) -> None:
        till = self._till()
        taken = self._redeem(till, self._payment_at(till))
        if taken is None:
            return
        by, completed = self._draw.choice([("merchant", False), ("merchant", True), ("user", False)])
        asked = {"clerk": "load", "by": by, "completed": completed, "request_no": till.request_no()}
        for _ in range(self._draw.randint(1, 2)):
            heard = self._tills.ask(till, "reverse", f"{REDEMPTIONS}/{taken.id}/reversal", asked)
            if self._receipts.hear_reversal(asked, taken, heard) is None:
                return
        self._compare(self._look())
        other = self._till()
        if not self._receipts.is_used:
            self._redeem(other, self._payment_at(other))
        else:
            self._receipts.expect(ALREADY, self._tills.ask(other, "redeem", REDEMPTIONS, self._payment_at(other)))

    def _twice(self) -> None:
        till = self._till()
        asked = self._payment_at(till)
        for heard in self._at_once([(till, asked), (till, asked)]):
            self._receipts.hear_redemption(asked, self._discount, heard)

    def _crowd_of_tills(self) -> None:
        self._receipts.sales.crowds += 1
        tills = self._tills.of(self._store)
        self._receipts.hear_many(self._at_once([(till, self._payment_at(till)) for till in tills]))

    def _at_once(self, asking: list[tuple[Till, dict[str, Any]]]) -> list[Heard]:
        waiting = [gevent.spawn(self._tills.ask, till, "redeem", REDEMPTIONS, asked) for till, asked in asking]
        try:
            gevent.joinall(waiting, raise_error=True)
        finally:
            gevent.killall(waiting)  # the user may be stopped in between
        return [each.value for each in waiting]

    def _redeem(self, till: Till, asked: dict[str, Any]) -> Redemption | None:
        heard = self._tills.ask(till, "redeem", REDEMPTIONS, asked)
        return self._receipts.hear_redemption(asked, self._discount, heard)

    def _ask_for_too_little(self, till: Till) -> None:
        card = self._look()
        if card is not None and card.min_spend:
            asked = self._payment_at(till) | {"amount": card.min_spend - 1}
            self._receipts.expect(TOO_LITTLE, self._tills.ask(till, "redeem", REDEMPTIONS, asked))

    def _ask_in_the_wrong_store(self) -> None:
        till = self._draw.choice(self._tills.of(f"{self._crowd.stage.wave}{WITHOUT_OFFERS}"))
        self._receipts.expect(WRONG_STORE, self._tills.ask(till, "redeem", REDEMPTIONS, self._payment_at(till)))

    def _quote(self, till: Till) -> None:
        """Which of the user's vouchers fits, where the account is known by its name."""
        if not self._crowd.accounts.is_fresh:
            return
        asked = {"user": self._account.name, "store": till.store, "amount": self._amount}
        heard = self._tills.ask(till, "quote", QUOTES, asked)
        if heard.told.code != "ok" or not heard.members.get("complete"):
            return
        fits = {each["code"]: each["discount"] for each in heard.members["usable"]}
        found = fits.get(self._receipts.claim.code)
        if found is None or self._discount not in (None, found):
            self._receipts.add(kinds.QUOTED_OTHERWISE, f"{found} instead of {self._discount}")

    def _till(self) -> Till:
        return self._draw.choice(self._tills.of(self._store))

    def _payment_at(self, till: Till) -> dict[str, Any]:
        """A payment of its own."""
        body = self._body(till)
        return body | {"payment_no": f"p-{body['request_no']}"}

    def _body(self, till: Till) -> dict[str, Any]:
        number = till.request_no()
        return {
            "code": self._typed(self._receipts.claim.code), "store": till.store, "clerk": "load",
            "order_no": f"o-{number}", "amount": self._amount, "request_no": number,
        }  # fmt: skip

    def _typed(self, code: str) -> str:
        """Scanned, or as a cashier types it."""
        match self._draw.randrange(4):
            case 0:
                return "-".join(code[at : at + 4] for at in range(0, len(code), 4)).lower()
            case 1:
                return code.replace("0", "O").replace("1", "l")
            case _:
                return code

    def _compare(self, card: Card | None) -> None:
        """The card against what tills were told."""
        if card is None or self._receipts.is_open:
            return
        expected = "redeemed" if self._receipts.is_used else "pending"
        if card.state != expected:
            self._receipts.add(kinds.CARD_STATE, f"{card.state} instead of {expected}")

    def _look(self) -> Card | None:
        """At the card, for as long as it takes; None where it is not shown."""
        cards: list[Card] = []
        waits: list[float] = []

        def hear(response: ResponseContextManager) -> tuple[str, str]:
            told, members = read(response)
            if told.code == "ok":
                stores = tuple(store["id"] for store in members["stores"])
                shown = (members[name] for name in ("state", "kind", "face", "min_spend"))
                cards.append(Card(terms_of(members["terms"]), stores, *shown))
            elif told.code in AGAIN:
                waits.append(told.retry_after_ms / 1000 or _AGAIN_S)
            return told.code, flaw(told, response, FINE_AT_TILLS)

        path = f"/v1/me/vouchers/{self._receipts.claim.code}"
        for _ in range(TRIES_MAX):
            self._line.ask("card", "GET", path, hear, {"Authorization": f"Bearer {self._account.token}"})
            if cards or not waits:
                break
            gevent.sleep(waits.pop())
        if cards and cards[0].terms != self._receipts.claim.terms:
            self._receipts.add(kinds.CARD_TERMS)
        return cards[0] if cards else None

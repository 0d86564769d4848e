"""Two desks that have seen a voucher as it was: the statement alone decides which of them takes the step."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from engine.domain.redemption import Redeem
from engine.ledger.promise_book import PromiseBook
from engine.ledger.voucher_steps import look_up, take
from engine.redeeming.steps import Around, Wanted, question_of, work_out
from engine.settings import Settings
from tests.gateway.shop import Shop, running_shop


@pytest.fixture
async def shop(drop_settings: Settings) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running_shop(drop_settings))


async def test_one_takes_the_step_and_nothing_of_the_other_is_left(shop: Shop) -> None:
    code = await shop.settled("ann")
    ledger, book = shop.drop.stores.ledger, PromiseBook(shop.drop.stores.ledger)
    steps = []
    for till in ("one", "two"):
        asked = Redeem(code, "m1", "mall", "li", till, till, 4_250, (), till)
        [entry] = await look_up(ledger, [question_of(asked)])
        standing = entry.standing
        assert standing is not None
        key = (standing.campaign_no, standing.offer_no, standing.terms_version)
        found = work_out(asked, entry, Around((await book.promises([key]))[key]))
        assert isinstance(found, Wanted)
        steps.append(found.step)
    taken = await asyncio.gather(*(take(ledger, [step]) for step in steps))
    assert sorted(map(len, taken)) == [0, 1]
    rows = await shop.rows("select step from voucher_steps where code = $1", code)
    assert [row["step"] for row in rows] == [1]

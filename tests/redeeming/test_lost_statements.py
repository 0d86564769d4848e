"""Statements whose reply is lost, or that lie on the way: one redemption, one answer, no refusal that turns false."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from engine.domain.redemption import Unfit, UnfitCode
from engine.redeeming.steps import Done, Nothing
from engine.redeeming.waiting import BUSY, OUTCOME_UNKNOWN
from engine.settings import Settings
from tests.ledger.samples import rows_of
from tests.redeeming.counter import MERCHANT, Counter, counter_at
from tests.support.proxy import Fault, Proxy
from tests.support.waiting import wait_until

SENT = b"by the bad line"
"""In the number of the request: only the statement that takes a step has it."""


class BadLine:
    """Two desks: the first one's line to Postgres can fail."""

    def __init__(self, counter: Counter, line: Proxy) -> None:
        self.counter = counter
        self.line = line
        self.first, self.second = counter.desks


@asynccontextmanager
async def bad_line(database_url: str, settings: Settings, first: Settings) -> AsyncIterator[BadLine]:
    parts = urlsplit(database_url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with (
        Proxy(parts.hostname, parts.port) as line,
        counter_at(database_url, settings, line.url_of(database_url), database_url, first=first) as counter,
    ):
        yield BadLine(counter, line)
        line.disarm()


@pytest.fixture
async def bad(database_url: str, settings: Settings) -> AsyncIterator[BadLine]:
    """The first desk gives a statement up after 150 ms, and a till after 800; the second one has patience."""
    impatient = replace(settings, ledger_timeout_ms=150, redeem_deadline_ms=800)
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(bad_line(database_url, settings, impatient))


async def steps(bad: BadLine, code: str) -> list[str]:
    rows = await bad.counter.admin.fetch("select kind from voucher_steps where code = $1 order by step", code)
    return [row["kind"] for row in rows]


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.SWALLOW])
async def test_a_lost_reply_is_no_second_redemption(database_url: str, settings: Settings, fault: Fault) -> None:
    async with bad_line(database_url, settings, replace(settings, ledger_timeout_ms=150)) as bad:
        [(code, _)] = await bad.counter.vouchers(1)
        asked = bad.counter.redeem(code, request_no=SENT.decode())
        bad.line.trap(SENT, fault)
        outcome = await bad.first.ask(asked)
        assert isinstance(outcome, Done), outcome
        again = await bad.second.ask(asked)
        assert isinstance(again, Done)
        assert again.replayed
        assert again.step.at_ms == outcome.step.at_ms
        assert await steps(bad, code) == ["redeem"]


async def test_where_no_reply_ever_comes_it_is_not_known_and_asking_elsewhere_tells(bad: BadLine) -> None:
    [(code, _)] = await bad.counter.vouchers(1)
    asked = bad.counter.redeem(code, request_no=SENT.decode())
    trap = bad.line.trap(SENT, Fault.CUT_AFTER)
    asking = asyncio.create_task(bad.first.ask(asked))
    await trap.springs()
    await bad.line.refuse()
    bad.line.cut()
    assert await asking == OUTCOME_UNKNOWN
    again = await bad.second.ask(asked)
    assert isinstance(again, Done)
    assert again.replayed
    await bad.line.accept()


async def test_where_nothing_was_sent_it_is_busy(bad: BadLine) -> None:
    [(code, _)] = await bad.counter.vouchers(1)
    await bad.line.refuse()
    bad.line.cut()
    assert await bad.first.ask(bad.counter.redeem(code)) == BUSY
    assert await steps(bad, code) == []
    await bad.line.accept()


async def test_a_desk_that_hangs_keeps_no_till_past_its_deadline(bad: BadLine) -> None:
    """What nobody waits for any more is not sent either."""
    [(code, _), (other, _)] = await bad.counter.vouchers(2)
    bad.line.stall()
    asked = [bad.counter.redeem(code), bad.counter.redeem(other)]
    async with asyncio.timeout(2):
        assert await asyncio.gather(*map(bad.first.ask, asked)) == [BUSY, BUSY]
    bad.line.resume()
    [(third, _)] = await bad.counter.vouchers(1)
    assert isinstance(await bad.first.ask(bad.counter.redeem(third)), Done)
    assert await steps(bad, code) == await steps(bad, other) == []


async def test_a_statement_that_comes_late_redeems_nothing_twice(bad: BadLine) -> None:
    [(code, _)] = await bad.counter.vouchers(1)
    asked = bad.counter.redeem(code, request_no=SENT.decode())
    trap = bad.line.trap(SENT, Fault.HOLD, times=100)
    assert await bad.first.ask(asked) == OUTCOME_UNKNOWN
    outcome = await bad.second.ask(asked)
    assert isinstance(outcome, Done)
    assert not outcome.replayed
    trap.release()
    await trap.is_answered()
    assert await steps(bad, code) == ["redeem"]


async def test_a_statement_that_comes_after_the_expiry_makes_no_refusal_false(bad: BadLine) -> None:
    """Told "expired", in fact redeemed a moment later: the statement looks at the clock as well."""
    [(code, good)] = await bad.counter.vouchers(1)
    await bad.counter.set_clock(good.expires_at_ms - 1)
    asked = bad.counter.redeem(code, request_no=SENT.decode())
    trap = bad.line.trap(SENT, Fault.HOLD, times=100)
    assert await bad.first.ask(asked) == OUTCOME_UNKNOWN
    await bad.counter.set_clock(good.expires_at_ms)
    refused = await bad.second.ask(asked)
    assert isinstance(refused, Unfit)
    assert refused.code is UnfitCode.EXPIRED
    trap.release()
    await trap.is_answered()
    assert await steps(bad, code) == []


async def test_a_late_payment_does_not_outlive_its_lock(bad: BadLine) -> None:
    """The same at the end of a lock, past the expiry."""
    [(code, good)] = await bad.counter.vouchers(1)
    await bad.counter.set_clock(good.expires_at_ms - 1)
    lock = await bad.second.ask(bad.counter.lock(code, "late", 60_000))
    assert isinstance(lock, Done)
    asked = bad.counter.redeem(code, order_no="late", request_no=SENT.decode())
    trap = bad.line.trap(SENT, Fault.HOLD, times=100)
    assert await bad.first.ask(asked) == OUTCOME_UNKNOWN
    await bad.counter.set_clock(lock.step.until_ms)
    assert await bad.second.ask(bad.counter.release(lock.step)) == Nothing()
    trap.release()
    await trap.is_answered()
    assert await steps(bad, code) == ["lock"]


async def test_a_refusal_that_a_late_statement_could_make_false_is_not_told(bad: BadLine) -> None:
    """The payment has another voucher, which is given back; and then the statement arrives."""
    [(code, _), (other, _)] = await bad.counter.vouchers(2)
    trap = bad.line.trap(SENT, Fault.HOLD, times=100)
    asking = asyncio.create_task(bad.first.ask(bad.counter.redeem(code, payment_no="one", request_no=SENT.decode())))
    await trap.springs()
    faster = await bad.second.ask(bad.counter.redeem(other, payment_no="one"))
    assert isinstance(faster, Done)
    assert await asking == OUTCOME_UNKNOWN
    assert isinstance(await bad.second.ask(bad.counter.reverse(faster.step, "merchant", False)), Done)
    trap.release()
    await trap.is_answered()
    assert await steps(bad, code) == ["redeem"]


async def test_a_lost_refund_is_paid_back_once(bad: BadLine) -> None:
    [(code, _)] = await bad.counter.vouchers(1)
    made = await bad.second.ask(bad.counter.redeem(code))
    assert isinstance(made, Done)
    asked = replace(bad.counter.reverse(made.step, "merchant", False, 7_000), request_no=SENT.decode())
    trap = bad.line.trap(SENT, Fault.HOLD, times=100)
    assert await bad.first.ask(asked) == OUTCOME_UNKNOWN
    outcome = await bad.second.ask(asked)
    assert isinstance(outcome, Done)
    trap.release()
    await trap.is_answered()
    rest = await bad.second.ask(bad.counter.reverse(made.step, "merchant", False))
    assert isinstance(rest, Done)
    assert (rest.step.kind, rest.step.amount) == ("give_back", 13_000)
    assert await steps(bad, code) == ["redeem", "refund", "give_back"]


async def test_what_postgres_refused_is_told_as_it_is(database_url: str, settings: Settings) -> None:
    """While its statement was on the way, another voucher took the payment's place: that is known, and what it is."""
    async with bad_line(database_url, settings, settings) as bad:
        [(code, _), (other, _)] = await bad.counter.vouchers(2)
        trap = bad.line.trap(SENT, Fault.DELAY)
        asked = bad.counter.redeem(code, payment_no="one", request_no=SENT.decode())
        asking = asyncio.create_task(bad.first.ask(asked))
        await trap.springs()
        assert isinstance(await bad.second.ask(bad.counter.redeem(other, payment_no="one")), Done)
        trap.release()
        assert await asking == Unfit(UnfitCode.ONE_PER_PAYMENT, places=1)


async def test_batches_that_want_the_same_vouchers_in_any_order_end(database_url: str, settings: Settings) -> None:
    """Two desks, many vouchers, payments that are shared crosswise: whatever Postgres has to undo is done again."""
    async with counter_at(database_url, settings) as counter:
        vouchers = await counter.vouchers(30)
        asked = [
            counter.redeem(code, payment_no=f"shared {(no + shift) % 10}")
            for shift in (0, 5)
            for no, (code, _) in enumerate(vouchers)
        ]
        first, second = counter.desks
        outcomes = await asyncio.gather(*map(first.ask, asked[:30]), *map(second.ask, asked[:29:-1]))
        rows = await counter.admin.fetch(
            "select payment_no, count(*) as times, count(payment_place) as places from voucher_steps group by 1"
        )
    assert {(row["times"], row["places"]) for row in rows} == {(1, 1)}
    assert len(rows) == 10, "one voucher a payment, and each payment got one"
    assert sum(isinstance(each, Done) for each in outcomes) == 10
    told = {each.code for each in outcomes if isinstance(each, Unfit)}
    assert told <= {UnfitCode.ONE_PER_PAYMENT, UnfitCode.ALREADY_REDEEMED}


async def test_who_was_undone_for_the_sake_of_another_has_done_nothing_and_knows_it(
    database_url: str, settings: Settings
) -> None:
    """A batch and another transaction wait for each other in a circle. The batch is the victim, and is done again: what
    is refused then is refused for good."""
    # Postgres looks for a circle once, that long after a wait began: the circle has to be closed by then.
    line = f"{database_url}{'&' if '?' in database_url else '?'}deadlock_timeout=2s"
    patient = replace(settings, redeem_deadline_ms=30_000, ledger_timeout_ms=30_000)
    async with counter_at(database_url, patient, line) as counter:
        [(first, _), (second, _), (other, _)] = await counter.vouchers(3)
        asked = [counter.redeem(first, payment_no="one"), counter.redeem(second)]
        async with counter.admin.transaction():
            await counter.admin.execute("set local deadlock_timeout = '1min'")
            await counter.admin.execute("select from vouchers where code = $1 for update", second)
            asking = asyncio.gather(*map(counter.desks[0].ask, asked))
            await wait_until(lambda: _is_waiting(database_url), what="the batch waits for the second voucher")
            await counter.admin.execute(
                "insert into voucher_steps (campaign_no, code, step, kind, at, offer_no, terms_version,"
                " merchant, payment_no, payment_place) select campaign_no, code, 1, 'redeem', now(), 1, 1, $2, 'one', 1"
                " from vouchers where code = $1",
                other,
                MERCHANT,
            )
            await counter.admin.execute("select from vouchers where code = $1 for update", first)
        refused, done = await asking
    assert refused == Unfit(UnfitCode.ONE_PER_PAYMENT, places=1)
    assert isinstance(done, Done)
    assert not done.replayed


async def _is_waiting(database_url: str) -> bool:
    return bool(await rows_of(database_url, "select from pg_locks where not granted and locktype = 'transactionid'"))

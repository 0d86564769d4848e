"""How far the ledger is behind: right whatever the writer is doing, and while there is none."""

from engine.hotstore import keys
from engine.hotstore.log import Lag, read_lags, read_log, tell_settled
from engine.hotstore.store import HotStore
from engine.ledger.database import Ledger
from engine.settings import Settings
from engine.settling.lag import LagWatch
from engine.settling.settler import Settler
from engine.settling.writer import Writer
from engine.telemetry import LEADS, LOG_LAG, LOG_LAG_SECONDS
from tests.settling.shards import Shard
from tests.support.waiting import wait_until

PUTS = 2
"""Decisions of a shard that was just put: its wave and its campaign."""


def shown(campaign: str) -> tuple[float, float]:
    return LOG_LAG.labels(campaign)._value.get(), LOG_LAG_SECONDS.labels(campaign)._value.get()


async def test_what_the_ledger_does_not_have(ledger: Ledger, store: HotStore, settings: Settings, seed: int) -> None:
    one = await Shard(ledger, store, settings, seed).start("one")
    await Shard(ledger, store, settings, seed).start("two")
    await one.claim(5_000, batch=500)
    lags = await read_lags(store, ["one", "two", "three"])
    assert [lags[campaign].decisions for campaign in ("one", "two", "three")] == [5_000 + PUTS, PUTS, 0]
    assert 0 < lags["one"].oldest_ms < 60_000
    assert lags["three"] == Lag()

    # Part of it is settled: the rest counts, and the oldest of the rest.
    entries = await read_log(store, "one", (await one.cursor()).place, 4)
    after = await Settler(ledger).settle(await one.cursor(), entries)
    await tell_settled(store, "one", after.place)
    lag = (await read_lags(store, ["one"]))["one"]
    assert lag.decisions == 5_000 + PUTS - after.last == 4_000
    assert lag.oldest_ms <= lags["one"].oldest_ms + 60_000


async def test_an_epoch_that_ended_is_no_lag(ledger: Ledger, store: HotStore, settings: Settings, seed: int) -> None:
    shard = await Shard(ledger, store, settings, seed).start()
    await shard.claim(50)
    await shard.recover()
    assert await store.call("XLEN", keys.log("spring")), "the log still holds it"
    assert (await read_lags(store, ["spring"]))["spring"] == Lag()
    await shard.claim(7)
    assert (await read_lags(store, ["spring"]))["spring"].decisions == 7


async def test_the_figure_without_a_writer_and_with_one(
    ledger: Ledger, store: HotStore, settings: Settings, seed: int
) -> None:
    shard = await Shard(ledger, store, settings, seed).start("shown")
    watch = LagWatch(store)
    await shard.claim(300)
    await watch.look_once()
    assert shown("shown")[0] == 300 + PUTS
    assert 0 < shown("shown")[1] < 60
    writer = Writer(ledger, store, settings)
    await writer.start()
    await wait_until(lambda: LEADS.labels("writer")._value.get() == 1)
    await shard.wait_settled()
    await writer.stop()
    assert LEADS.labels("writer")._value.get() == 0
    await watch.look_once()
    assert shown("shown") == (0, 0)
    await shard.claim(10)
    await watch.look_once()
    assert shown("shown")[0] == 10
    await store.call("SREM", keys.CAMPAIGNS, "shown")  # it leaves the hot store: nothing is missing any more
    await watch.look_once()
    assert shown("shown") == (0, 0)

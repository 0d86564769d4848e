"""What comes between the two halves of a rollover, and between an apply and its put: no unit lost, no act undone."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Limit
from engine.errors import ActRefused
from engine.scheduling import acts
from tests.operators.house import OPS, House
from tests.support.drop import HOUR_MS, Drop, ask, campaign, wave
from tests.support.stage import hook_store
from tests.support.waiting import wait_until

FROM, TO, THIRD = 1, 2, 3


async def two_waves(house: House, **to: int) -> Campaign:
    """One whose closing is past, with stock for the second, which is to come; and a third that nobody rolls to."""
    now_ms = await house.store.time_ms()
    waves = [
        wave("first", now_ms - 2 * HOUR_MS, now_ms - HOUR_MS, {"o1": 9, "o2": 4}),
        wave("second", now_ms + HOUR_MS, now_ms + 2 * HOUR_MS, {"o1": 3, "o2": 0} | to),
        wave("third", now_ms + HOUR_MS, now_ms + 2 * HOUR_MS, {"o1": 5}),
    ]
    return campaign([replace(waves[0], rollover="second"), *waves[1:]], limits=[Limit(1, "wave")])


async def kinds(house: House) -> list[str]:
    return [line.kind for line in await house.acts()]


async def until(house: House, kind: str) -> None:
    """The steward goes on until it has done that."""
    for _ in range(10):
        await house.look()
        if kind in await kinds(house):
            return
    raise AssertionError(f"no {kind}")


async def _cancel(house: House) -> bool:
    return await acts.cancel(house.store, "spring", TO, OPS)


async def _close(house: House) -> bool:
    return await acts.close(house.store, "spring", TO, OPS, now_ms=await house.store.time_ms())


ENDS: dict[str, Callable[[House], Awaitable[bool]]] = {"cancelled": _cancel, "closed": _close}


async def check_lapsed(house: House, end: str) -> None:
    await house.look_until_quiet()
    view = await house.view()
    assert view.left == {(1, 1): 9, (1, 2): 4, (2, 1): 3, (2, 2): 0, (3, 1): 5}
    assert view.waves[FROM].rolled_out == {}
    assert view.waves[TO].rolled_in == {}
    done = await kinds(house)
    assert done.count("lapse") == 1
    (lapse,) = [line for line in await house.acts() if line.kind == "lapse"]
    assert lapse.reason == f"unsold in first: second is {end}"
    await house.settle()
    await house.audit()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("after", ["close", "roll_out"])
async def test_units_for_a_wave_that_is_over_lapse_and_the_log_says_so(house: House, end: str, after: str) -> None:
    await house.begin(await two_waves(house))
    await until(house, after)
    await ENDS[end](house)
    await check_lapsed(house, end)
    await house.store.call("FLUSHALL")
    await house.look_until_quiet()
    view = await house.view()
    assert view.left == {(1, 1): 9, (1, 2): 4, (2, 1): 3, (2, 2): 0, (3, 1): 5}
    assert view.last == 0, "and a recovery does not begin again"


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("after", ["close", "roll_out"])
async def test_the_other_wave_ends_in_the_very_moment(house: House, end: str, after: str) -> None:
    """Between any two steps of the steward's pass somebody ends the wave that gets the units."""
    step = 0
    while True:
        step += 1
        await house.store.call("FLUSHALL")
        async with house.ledger.transaction() as connection:  # a campaign of its own for each step
            await connection.execute("update waves set opens_at = '2001-01-01', closes_at = '2001-01-02'")
        written = await two_waves(house)
        waves = [replace(each, id=f"{each.id}-{step}") for each in written.waves]
        waves[0] = replace(waves[0], rollover=waves[1].id)
        await house.begin(replace(written, id=f"spring-{step}", waves=tuple(waves)))
        await until(house, after)
        await house.settle()
        reached = await _end_at(house, end, step)
        await house.look_until_quiet()
        view = await house.view()
        assert sum(view.left.values()) == 21
        arrived = view.waves[TO].rolled_in != {}
        assert (view.left[TO, 1], view.left[FROM, 1]) == ((12, 0) if arrived else (3, 9))
        if not reached:
            assert arrived
            assert step > 5
            return


async def _end_at(house: House, end: str, step: int) -> bool:
    """One pass of a steward, before whose step the wave is ended; whether it took that many steps."""
    exchange, reached = house.store._exchange, False

    async def end_it(at: int) -> None:
        nonlocal reached
        if at == step and not reached:
            reached = True
            hooked, house.store._exchange = house.store._exchange, exchange  # type: ignore[method-assign]
            if end == "cancelled":
                await acts.cancel(house.store, house.campaign, TO, OPS)
            else:
                now_ms = await house.store.time_ms()
                await acts.close(house.store, house.campaign, TO, OPS, now_ms=now_ms)
            house.store._exchange = hooked  # type: ignore[method-assign]

    hook_store(house.store, before=end_it)
    await house.steward.look_once()
    house.store._exchange = exchange  # type: ignore[method-assign]
    return reached


@pytest.mark.parametrize("after", ["put_campaign", "close", "roll_out", "roll_in"])
async def test_an_apply_at_any_point_of_a_rollover(house: House, after: str) -> None:
    """The new revision gives the second wave more of its own; what is rolled over comes on top, once."""
    await house.begin(await two_waves(house))
    await until(house, after)
    await house.apply(await replaced(house, {"o1": 7, "o2": 1}))
    await house.look_until_quiet()
    view = await house.view()
    assert view.left == {(1, 1): 0, (1, 2): 0, (2, 1): 16, (2, 2): 5, (3, 1): 5}
    assert view.catalogue == house.catalogue
    await house.apply(await replaced(house, {"o1": 2, "o2": 0}))
    await house.look_until_quiet()
    assert (await house.view()).left == {(1, 1): 0, (1, 2): 0, (2, 1): 11, (2, 2): 4, (3, 1): 5}
    await house.audit()


async def replaced(house: House, stock: dict[str, int], wave_id: str = "second") -> Campaign:
    """The campaign as it was applied, with that stock in one wave."""
    row = await house.ledger.fetch_row("select definition from campaigns where id = $1", house.campaign)
    assert row is not None
    before = msgspec.json.decode(row["definition"], type=Campaign)
    waves = tuple(replace(each, stock=stock) if each.id == wave_id else each for each in before.waves)
    return replace(before, waves=waves)


@pytest.mark.parametrize("after", ["put_campaign", "close", "roll_out", "roll_in"])
@pytest.mark.parametrize("lost", ["nothing", "everything"])
async def test_a_recovery_at_any_point_of_a_rollover(house: House, after: str, lost: str) -> None:
    """A shard that is only unbound goes on as it is; an emptied one comes back from the ledger."""
    await house.begin(await two_waves(house))
    await until(house, after)
    await house.settle()
    if lost == "nothing":
        view = await house.view()
        await house.store.call("HSET", f"{{{view.campaign}/0}}:head", "incarnation", "")
    else:
        await house.store.call("FLUSHALL")
    await house.look_until_quiet()
    view = await house.view()
    assert view.left == {(1, 1): 0, (1, 2): 0, (2, 1): 12, (2, 2): 4, (3, 1): 5}
    row = await house.ledger.fetch_row("select count(*) from acts where kind = 'roll_in'")
    assert row is not None
    assert row["count"] == 1
    await house.store.call("FLUSHALL")
    await house.look_until_quiet()
    assert (await house.view()).left == view.left
    await house.audit()


# Between an apply and its put


async def test_a_restock_that_is_not_settled_while_a_revision_waits(house: House) -> None:
    await house.begin(await two_waves(house))
    await house.look_until_quiet()
    await house.apply(await replaced(house, {"o1": 6}, "third"))
    await acts.restock(house.store, "spring", TO, {1: 50}, OPS)
    await house.steward.look_once()
    assert (await house.view()).catalogue.revision == 1, "the ledger does not know of the restock yet"
    await house.look_until_quiet()
    view = await house.view()
    assert view.catalogue.revision == 2
    assert (view.left[TO, 1], view.left[THIRD, 1]) == (50 + 9, 6)


async def test_a_restock_between_a_wave_and_its_campaign(house: House) -> None:
    """The steward has put the wave of the new revision, but not yet the campaign: what is done then is newer."""
    await house.begin(await two_waves(house))
    await house.look_until_quiet()
    await house.apply(await replaced(house, {"o1": 6}, "third"))
    await house.settle()
    exchange, done = house.store._exchange, False

    async def restock(_: int) -> None:
        nonlocal done
        hooked, house.store._exchange = house.store._exchange, exchange  # type: ignore[method-assign]
        if not done and (await house.wave(THIRD)).offers["1"].total == 6:
            done = True
            await acts.restock(house.store, "spring", THIRD, {1: 60}, OPS)
        house.store._exchange = hooked  # type: ignore[method-assign]

    hook_store(house.store, before=restock)
    await house.steward.look_once()
    house.store._exchange = exchange  # type: ignore[method-assign]
    assert done
    assert (await house.view()).catalogue.revision == 1
    await house.look_until_quiet()
    view = await house.view()
    assert view.catalogue.revision == 2
    assert view.left[THIRD, 1] == 60
    await house.store.call("FLUSHALL")
    await house.look_until_quiet()
    assert (await house.view()).left[THIRD, 1] == 60


async def test_a_put_that_comes_after_the_opening_leaves_opening_and_stock(house: House) -> None:
    """The ledger took the change in time; the steward was away, and people have claimed by what was announced."""
    now_ms = await house.store.time_ms()
    opens_ms = now_ms + 400
    first = campaign([wave("w1", opens_ms, now_ms + HOUR_MS, {"o1": 5, "o2": 5})], limits=[Limit(1, "campaign")])
    await house.begin(first)
    later = wave("w1", now_ms + HOUR_MS, now_ms + 2 * HOUR_MS, {"o1": 2, "o3": 1})
    await house.apply(replace(first, waves=(later,)))
    drop = Drop(house.store, house.catalogue)
    drop.epoch = (await house.view()).epoch

    async def opened() -> bool:
        return await house.store.time_ms() >= opens_ms

    await wait_until(opened)
    for name in ("ann", "ben", "cem"):
        await drop.granted(ask(name))
    await house.look_until_quiet()
    view = await house.view()
    assert view.catalogue.revision == 2, "the put is not stuck"
    assert view.waves[1].opens_ms == opens_ms
    assert view.left == {(1, 1): 2, (1, 2): 5, (1, 3): 1}
    await drop.granted(ask("dan", 3))
    await house.look_until_quiet()
    await house.audit()


# What stays


@pytest.mark.parametrize("lost", ["nothing", "everything"])
async def test_what_operators_did_stays_over_puts_and_recoveries(house: House, lost: str) -> None:
    """Stopped, paused, tickets void, moved, restocked: none of it is undone by a new revision or a recovery."""
    await house.begin(await two_waves(house))
    await house.look_until_quiet()
    now_ms = await house.store.time_ms()
    opens_ms, closes_ms = now_ms + 3 * HOUR_MS, now_ms + 4 * HOUR_MS
    await acts.stop(house.store, "spring", OPS)
    await acts.pause(house.store, "spring", TO, OPS)
    await acts.void_tickets(house.store, "spring", TO, now_ms, OPS)
    await acts.restock(house.store, "spring", TO, {1: 30}, OPS)
    await acts.move(house.store, "spring", TO, opens_ms, closes_ms, "2026-12-12", OPS)
    done = await house.wave(TO)
    await house.settle()
    await house.apply(await replaced(house, {"o1": 6}, "third"))
    for _ in range(2):
        await house.look_until_quiet()
        view = await house.view()
        assert view.catalogue.revision == 2
        assert view.rules.stopped == "a reason"
        assert view.waves[TO] == done
        assert view.left[TO, 1] == 39
        if lost == "nothing":
            await house.store.call("HSET", "{spring/0}:head", "incarnation", "")
        else:
            await house.store.call("FLUSHALL")
    await house.look_until_quiet()
    await acts.start(house.store, "spring", OPS)
    await house.settle()
    await house.store.call("FLUSHALL")
    await house.look_until_quiet()
    assert (await house.view()).rules.stopped == ""


async def test_a_wave_that_is_over_takes_no_act_that_would_wake_it(house: House) -> None:
    await house.begin(await two_waves(house))
    await acts.cancel(house.store, "spring", TO, OPS)
    now_ms = await house.store.time_ms()
    for act in (
        acts.pause(house.store, "spring", TO, OPS),
        acts.resume(house.store, "spring", TO, OPS),
        acts.restock(house.store, "spring", TO, {1: 50}, OPS),
        acts.move(house.store, "spring", TO, now_ms + 5, now_ms + 6, "2026-12-12", OPS),
        acts.close(house.store, "spring", TO, OPS, now_ms=now_ms),
        acts.roll_in(house.store, "spring", TO, FROM, {"1": 9}, OPS),
    ):
        with pytest.raises(ActRefused, match="wave second is cancelled"):
            await act
    await house.look_until_quiet()
    assert (await house.wave(TO)).state == "cancelled"

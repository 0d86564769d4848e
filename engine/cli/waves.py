"""`dropwave wave`: see waves, pause, resume and close them."""

from collections.abc import Awaitable, Callable

import click

from engine.claiming.board import LiveWave, live_waves
from engine.cli.options import (
    actor_option,
    json_option,
    on_installation,
    print_json,
    print_table,
    reason_option,
)
from engine.errors import UsageError
from engine.gateway.instants import rfc3339
from engine.hotstore.store import HotStore
from engine.hotstore.view import loaded_campaigns, read_shard
from engine.scheduling import acts
from engine.scheduling.performing import Actor
from engine.settings import Settings
from engine.wiring import connected

wave_argument = click.argument("wave_id", metavar="WAVE")


@click.group()
def wave() -> None:
    """Waves in the hot store: see them, pause, resume, close."""


@wave.command("list")
@json_option
@on_installation
async def list_waves(settings: Settings, as_json: bool) -> None:
    """List waves with their state and what is left."""
    async with connected(settings) as stores:
        rows = [_row(live) for live in await _all_waves(stores.hot_store)]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["wave", "state", "opens", "closes", "left", "stock"],
        [[str(row[column]) for column in ("wave", "state", "opens_at", "closes_at", "left", "stock")] for row in rows],
        empty="No campaign is in the hot store.",
    )


@wave.command()
@wave_argument
@json_option
@on_installation
async def show(settings: Settings, wave_id: str, as_json: bool) -> None:
    """Show one wave: state, and what is left of each offer."""
    async with connected(settings) as stores:
        live = await _find(stores.hot_store, wave_id)
    offers = {offer.no: offer for offer in live.catalogue.offers}
    rows = [
        {"offer": offers[int(no)].id, "left": live.left[int(no)], "stock": state.total, "terms": state.terms}
        for no, state in live.state.offers.items()
    ]
    if as_json:
        print_json(_row(live) | {"offers": rows})
        return
    click.echo("  ".join(f"{name}: {value}" for name, value in _row(live).items() if value != ""))
    print_table(
        ["offer", "left", "stock", "terms"],
        [[str(value) for value in row.values()] for row in rows],
        empty="No offers.",
    )


def _act_command(name: str, help_text: str, act: Callable[[HotStore, LiveWave, Actor], Awaitable[bool]]) -> None:
    async def command(settings: Settings, wave_id: str, reason: str, actor: str) -> None:
        async with connected(settings) as stores:
            live = await _find(stores.hot_store, wave_id)
            done = await act(stores.hot_store, live, Actor(actor, reason))
        click.echo(f"{wave_id}: {name} done" if done else f"{wave_id}: nothing to do")

    decorated = wave_argument(reason_option(actor_option(on_installation(command))))
    wave.command(name, help=help_text)(decorated)


async def _pause(store: HotStore, live: LiveWave, actor: Actor) -> bool:
    return await acts.pause(store, live.catalogue.id, live.wave.no, actor)


async def _resume(store: HotStore, live: LiveWave, actor: Actor) -> bool:
    return await acts.resume(store, live.catalogue.id, live.wave.no, actor)


async def _close(store: HotStore, live: LiveWave, actor: Actor) -> bool:
    return await acts.close(store, live.catalogue.id, live.wave.no, actor, now_ms=live.read_ms)


_act_command("pause", "Let nobody claim from the next batch on, until `resume`.", _pause)
_act_command("resume", "End a pause.", _resume)
_act_command("close", "End a wave for good, before its time. What was claimed stands.", _close)


async def _all_waves(store: HotStore) -> list[LiveWave]:
    shards = [await read_shard(store, campaign) for campaign in await loaded_campaigns(store)]
    return [live for shard in shards if shard is not None for live in live_waves(shard)]


async def _find(store: HotStore, wave_id: str) -> LiveWave:
    for live in await _all_waves(store):
        if live.wave.id == wave_id:
            return live
    raise UsageError(f"no wave {wave_id} is in the hot store; `dropwave wave list` shows which are")


def _row(live: LiveWave) -> dict[str, str | int]:
    zone = live.catalogue.timezone
    return {
        "wave": live.wave.id,
        "campaign": live.catalogue.id,
        "round": live.state.round,
        "state": live.status(live.read_ms),
        "opens_at": rfc3339(live.state.opens_ms, zone),
        "closes_at": rfc3339(live.state.closes_ms, zone),
        "left": sum(live.left.values()),
        "stock": sum(offer.total for offer in live.state.offers.values()),
        "reason": live.state.reason,
    }

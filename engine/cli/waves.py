"""`dropwave wave`: see waves, and act on them. Needs the hot store alone."""

from collections.abc import Awaitable, Callable

import click

from engine.cli.options import (
    actor_option,
    json_option,
    on_installation,
    print_json,
    print_table,
    reason_option,
    wall_clock,
)
from engine.errors import UsageError
from engine.gateway.ops_objects import done_members, seen_members
from engine.gateway.status_objects import Members
from engine.scheduling.operations import Done, Operations, Seen
from engine.scheduling.performing import Actor
from engine.settings import Settings
from engine.wiring import hot_store_only

wave_argument = click.argument("wave_id", metavar="WAVE")

SHOWN = ("state", "flag", "reason", "opens_at", "closes_at", "day", "tickets_void_before")
"""Of a wave, what an act can change; its stock comes on top."""


@click.group()
def wave() -> None:
    """Waves in the hot store: see them, act on them.

    An act is in force with the next batch of claims, whatever else is down. Doing it twice is safe.
    """


@wave.command("list")
@json_option
@on_installation
async def list_waves(settings: Settings, as_json: bool) -> None:
    """List waves with their state and what is left."""
    async with hot_store_only(settings) as store:
        shards = await Operations(store).shards()
    seen = [Seen(shard, each) for shard in shards for each in shard.catalogue.waves if each.no in shard.waves]
    rows = [_row(seen_members(each)) for each in seen]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["wave", "state", "opens", "closes", "left", "stock"],
        [
            [
                str(row["wave"]),
                _state(each, row),
                wall_clock(str(row["opens_at"])),
                wall_clock(str(row["closes_at"])),
                str(row["left"]),
                str(row["stock"]),
            ]
            for each, row in zip(seen, rows, strict=True)
        ],
        empty="No campaign is in the hot store.",
    )


@wave.command()
@wave_argument
@json_option
@on_installation
async def show(settings: Settings, wave_id: str, as_json: bool) -> None:
    """Show one wave: state, and what is left of each offer."""
    async with hot_store_only(settings) as store:
        seen = await Operations(store).look(wave_id)
    shown = seen_members(seen)
    if as_json:
        print_json(shown)
        return
    row = _row(shown)
    row["state"] = _state(seen, row)
    click.echo("  ".join(f"{name}: {value}" for name, value in row.items() if value != ""))
    print_table(
        ["offer", "left", "stock", "claimed"],
        [[str(offer[column]) for column in ("id", "left", "stock", "claimed")] for offer in shown["offers"]],
        empty="No offers.",
    )


def _state(seen: Seen, row: Members) -> str:
    """Its state; with it that nobody gets to it, where its shard is not bound."""
    return str(row["state"]) if seen.shard.bound else f"{row['state']}, recovering"


async def _perform(settings: Settings, as_json: bool, perform: Callable[[Operations], Awaitable[Done]]) -> None:
    async with hot_store_only(settings) as store:
        done = await perform(Operations(store))
    members = done_members(done)
    if as_json:
        print_json(members)
    elif not done.done:
        click.echo(f"{done.after.wave.id}: it was so already, nothing done")
    else:
        click.echo(f"{done.after.wave.id}: {done.act} done")
        for line in _changes(members["before"], members["after"]):
            click.echo(f"  {line}")


def _simple(name: str, help_text: str, perform: Callable[[Operations, str, Actor], Awaitable[Done]]) -> None:
    async def command(settings: Settings, wave_id: str, reason: str, actor: str, as_json: bool) -> None:
        by = Actor(actor, reason)
        await _perform(settings, as_json, lambda operations: perform(operations, wave_id, by))

    decorated = wave_argument(reason_option(actor_option(json_option(on_installation(command)))))
    wave.command(name, help=help_text)(decorated)


_simple("pause", "Let nobody claim from the next batch on, until `resume`. Users see the reason.", Operations.pause)
_simple("resume", "End a pause.", Operations.resume)
_simple("close", "End a wave for good, before its time. What was claimed stands.", Operations.close)
_simple("cancel", "Call a wave off for good. Users see the reason. What was claimed stands.", Operations.cancel)


@wave.command()
@wave_argument
@click.argument("stock", metavar="OFFER=TOTAL...", nargs=-1, required=True)
@reason_option
@actor_option
@json_option
@on_installation
async def restock(
    settings: Settings, wave_id: str, stock: tuple[str, ...], reason: str, actor: str, as_json: bool
) -> None:
    """Set the stock of offers to these totals, with what is claimed; what was rolled over comes on top."""
    totals, by = _totals(stock), Actor(actor, reason)
    await _perform(settings, as_json, lambda operations: operations.restock(wave_id, totals, by))


@wave.command()
@wave_argument
@click.option("--opens-at", required=True, help='"YYYY-MM-DD HH:MM" in the campaign\'s zone, or RFC 3339.')
@click.option("--closes-at", help="Likewise; default: it lasts as long as before.")
@reason_option
@actor_option
@json_option
@on_installation
async def move(
    settings: Settings, wave_id: str, opens_at: str, closes_at: str | None, reason: str, actor: str, as_json: bool
) -> None:
    """Give a wave that has not opened another time. Tickets stay good."""
    by = Actor(actor, reason)
    await _perform(settings, as_json, lambda operations: operations.move(wave_id, opens_at, closes_at, by))


@wave.command("void-tickets")
@wave_argument
@click.option(
    "--before", help='"YYYY-MM-DD HH:MM" in the campaign\'s zone, or RFC 3339; default: now, so all that are out.'
)
@reason_option
@actor_option
@json_option
@on_installation
async def void_tickets(
    settings: Settings, wave_id: str, before: str | None, reason: str, actor: str, as_json: bool
) -> None:
    """Void tickets: all that are out, or with --before those issued before an instant.

    Their holders get `ticket_expired` and have to get new ones, which are good at once. Gateways hear of it within
    a quarter of a second. What was claimed stands, and tokens are not touched.
    """
    by = Actor(actor, reason)
    await _perform(settings, as_json, lambda operations: operations.void_tickets(wave_id, before, by))


def _totals(stock: tuple[str, ...]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for text in stock:
        offer, _, total = text.rpartition("=")
        if not offer or not total.isascii() or not total.isdigit() or len(total) > 12:
            raise UsageError(f"{text!r} is not OFFER=TOTAL: write for example mall-50=1500")
        if offer in totals:
            raise UsageError(f"{offer} is named twice")
        totals[offer] = int(total)
    return totals


def _row(shown: Members) -> dict[str, str | int]:
    return {
        "wave": shown["id"],
        "campaign": shown["campaign"],
        "round": shown["round"],
        "state": shown["state"],
        "opens_at": shown["opens_at"],
        "closes_at": shown["closes_at"],
        "left": sum(offer["left"] for offer in shown["offers"]),
        "stock": sum(offer["stock"] for offer in shown["offers"]),
        "reason": shown["reason"],
    }


def _changes(before: Members, after: Members) -> list[str]:
    """What changed, from → to, a line each. Stock that is claimed meanwhile is not the act's."""
    changed = [name for name in SHOWN if before[name] != after[name]]
    if "state" in changed and "flag" in changed:
        changed.remove("flag")  # it is only news of its own where it does not show: a pause before the opening
    lines = [f"{name}: {before[name] or '-'} → {after[name] or '-'}" for name in changed]
    for old, new in zip(before["offers"], after["offers"], strict=True):
        if old["stock"] != new["stock"]:
            lines.append(f"stock of {new['id']}: {old['stock']:,} → {new['stock']:,}, left {new['left']:,}")
    return lines

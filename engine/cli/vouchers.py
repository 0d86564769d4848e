"""`dropwave voucher`: see a single voucher with all that was done with it, and take it back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
from engine.gateway.status_objects import Members
from engine.gateway.voucher_objects import taken_back_members, voucher_members
from engine.ledger.promise_book import PromiseBook
from engine.ledger.voucher_acts import Taking
from engine.redeeming.arrivals import Arrivals
from engine.redeeming.taking_back import TakingBack
from engine.scheduling.performing import Actor
from engine.settings import Settings
from engine.wiring import ledger_first

code_argument = click.argument("code", metavar="CODE")

SHOWN = (
    *("code_grouped", "state", "account", "campaign", "wave", "offer", "title"),
    *("claimed_at", "valid_from", "expires_at"),
)
"""Of a voucher, what a person reads; `--json` has all."""


@click.group()
def voucher() -> None:
    """One voucher, by its code as it is printed or typed: see it, take it back. Needs the ledger.

    Taking back is for good, stands in the audit trail, and shows the reason to the holder. It changes the voucher
    alone: the claim still counts against its claimant's limits, and its unit stays used.
    """


@voucher.command()
@code_argument
@json_option
@on_installation
async def show(settings: Settings, code: str, as_json: bool) -> None:
    """Show one voucher: whose it is, how it stands, what was done with it."""
    async with _taking_back(settings) as vouchers:
        members = voucher_members(await vouchers.look(code))
    if as_json:
        print_json(members)
        return
    for name in SHOWN:
        click.echo(f"{name}: {wall_clock(members[name]) if name in SHOWN[-3:] else members[name]}")
    print_table(
        ["step", "at", "what", "where", "by", "reason"],
        [
            [
                str(step["step"]),
                wall_clock(step["at"]),
                step["kind"].replace("_", " "),
                step["store"] or "",
                step["actor"] or step["clerk"] or "",
                step["reason"] or "",
            ]
            for step in members["steps"]
        ],
        empty="Nothing was done with it yet.",
    )


@voucher.command()
@code_argument
@reason_option
@actor_option
@json_option
@on_installation
async def invalidate(settings: Settings, code: str, reason: str, actor: str, as_json: bool) -> None:
    """Take a voucher back: nobody can use it from now on, and its holder sees the reason.

    Not one that was used, has expired, or is held for an unpaid order (exit status 2).
    """
    await _take_back(settings, code, "invalidate", Actor(actor, reason), as_json)


@voucher.command()
@code_argument
@reason_option
@actor_option
@json_option
@on_installation
async def cancel(settings: Settings, code: str, reason: str, actor: str, as_json: bool) -> None:
    """Likewise, for a voucher that should not have been given: its holder is told that it was cancelled."""
    await _take_back(settings, code, "cancel", Actor(actor, reason), as_json)


async def _take_back(settings: Settings, code: str, act: Taking, actor: Actor, as_json: bool) -> None:
    async with _taking_back(settings) as vouchers:
        members: Members = taken_back_members(await vouchers.take_back(code, act, actor.name, actor.reason))
    if as_json:
        print_json(members)
        return
    name, before, after = (members["after"]["code_grouped"], members["before"]["state"], members["after"]["state"])
    click.echo(f"{name}: {before} → {after}" if members["done"] else f"{name}: was {after} already, nothing done")


@asynccontextmanager
async def _taking_back(settings: Settings) -> AsyncIterator[TakingBack]:
    """What operators can do with vouchers. Where Redis is away, a code that is not in the ledger is not known."""
    async with ledger_first(settings) as (ledger, store, _):
        arrivals = None if store is None else Arrivals(store, ledger, settings)
        yield TakingBack(ledger, PromiseBook(ledger), arrivals)

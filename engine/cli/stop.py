"""`dropwave stop-all` and `start-all`: every campaign at once."""

import sys
from collections.abc import Sequence

import click

from engine.cli.options import actor_option, json_option, on_installation, print_json, print_table, reason_option
from engine.errors import CannotRun
from engine.gateway.ops_objects import results_members
from engine.scheduling.operations import CampaignResult, Operations
from engine.scheduling.performing import Actor
from engine.settings import Settings
from engine.wiring import hot_store_only

WORDS = {"stop-all": ("stopped", "was stopped already"), "start-all": ("goes on", "was not stopped")}


@click.command("stop-all")
@reason_option
@actor_option
@json_option
@on_installation
async def stop_all(settings: Settings, reason: str, actor: str, as_json: bool) -> None:
    """Let nobody claim in any campaign, from the next batch on, until `start-all`. Users see the reason.

    Needs the hot store alone. Exit status 3 where a campaign could not be stopped: do it again.
    """
    by = Actor(actor, reason)
    async with hot_store_only(settings) as store:
        _end("stop-all", await Operations(store).stop_all(by), as_json=as_json)


@click.command("start-all")
@reason_option
@actor_option
@json_option
@on_installation
async def start_all(settings: Settings, reason: str, actor: str, as_json: bool) -> None:
    """End `stop-all`. Waves that were paused by themselves stay paused."""
    by = Actor(actor, reason)
    async with hot_store_only(settings) as store:
        _end("start-all", await Operations(store).start_all(by), as_json=as_json)


def _end(act: str, results: Sequence[CampaignResult], *, as_json: bool) -> None:
    done, was_so = WORDS[act]
    if as_json:
        print_json(results_members(act, results))
    else:
        print_table(
            ["campaign", "now"],
            [[each.campaign, each.error or (done if each.done else was_so)] for each in results],
            empty="No campaign is in the hot store.",
        )
    if any(each.done is None for each in results):
        click.echo("dropwave: not every campaign could be reached: do it again", err=True)
        sys.exit(CannotRun.exit_status)

"""`dropwave rehearse`: a whole drop against simulated users, on servers of its own, ending in a verdict."""

import asyncio
import secrets
import shutil
import tempfile
from pathlib import Path

import click

from engine.cli.options import console, json_option, run
from engine.cli.stage import Wish, put_on_stage
from engine.cli.tokens import DURATION
from engine.cli.verdicts import end
from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX, Campaign, Wave
from engine.errors import UsageError
from engine.rehearsal.credentials import can_be_entitled_by_token
from engine.rehearsal.plan import Plan, draw_plan
from engine.scheduling.files import read_campaign_file
from engine.settings import load_settings
from engine.telemetry import configure_logging

OPENS_IN_MIN_S = 3
"""For the steward to put the wave and for the users to get ready."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--wave", "wave_id", metavar="WAVE", help="The wave to rehearse (default: the first one of the file).")
@click.option("--users", default=30_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--opens-in", "opens_in_s", default="10s", show_default=True, type=DURATION)
@click.option("--seed", type=int, help="Repeats the users of an earlier run (default: drawn, and printed).")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Gateway processes.")
@click.option("--ack", type=click.Choice(["memory", "logged", "settled"]), help="What a reply waits for.")
@json_option
def rehearse(
    file: Path,
    wave_id: str | None,
    users: int,
    opens_in_s: int,
    seed: int | None,
    workers: int,
    ack: str | None,
    as_json: bool,
) -> None:
    """Run a whole drop of a campaign file against simulated users, and say whether every promise held.

    Servers are started in a temporary folder, and one wave is moved so that it opens soon. Exit status 1 if a
    promise broke; the folder is kept then.
    """
    if opens_in_s < OPENS_IN_MIN_S:
        raise UsageError(f"--opens-in {opens_in_s}s is too soon; it takes {OPENS_IN_MIN_S}s or more")
    campaign = read_campaign_file(file)
    wave = _chosen(campaign, wave_id)
    plan = _plan(campaign, wave, users, opens_in_s, secrets.randbelow(2**32) if seed is None else seed)
    folder = Path(tempfile.mkdtemp(prefix="dropwave-rehearsal-"))
    settings = load_settings(
        data=str(folder),
        redis_url="",
        database_url="",
        port=0,
        workers=workers,
        ack=ack,
        secret=secrets.token_hex(32),
    )
    configure_logging(settings.log_format, "warning")
    kept = False
    try:
        verdict = run(settings, put_on_stage(settings, Wish(campaign, plan, opens_in_s, silent=as_json)))
        kept = verdict.broken
    except asyncio.CancelledError as error:  # SIGTERM: everything was stopped in order on the way here
        raise click.Abort from error
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
    if kept:
        click.echo(f"The data are kept in {folder}: `dropwave up --data {folder}` serves them.", err=True)
    end([verdict], as_json=as_json, console=console)


def _chosen(campaign: Campaign, wave_id: str | None) -> Wave:
    if wave_id is None:
        return campaign.waves[0]
    for wave in campaign.waves:
        if wave.id == wave_id:
            return wave
    known = ", ".join(wave.id for wave in campaign.waves[:10])
    raise UsageError(f"campaign {campaign.id} has no wave {wave_id}; its waves are {known}")


def _plan(campaign: Campaign, wave: Wave, users: int, opens_in_s: int, seed: int) -> Plan:
    rules = [campaign.eligibility, *([wave.eligibility] if wave.eligibility else [])]
    return draw_plan(
        wave.id,
        wave.stock,
        users,
        seed,
        claims_max=min([CLAIMS_PER_CLAIMANT_MAX, *(limit.max for limit in campaign.limits)]),
        countdown_ms=opens_in_s * 1000,
        tokens=can_be_entitled_by_token(rules),
    )

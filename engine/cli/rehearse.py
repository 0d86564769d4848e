"""`dropwave rehearse`: a whole drop against simulated users, ending in a verdict."""

import asyncio
import secrets
import shutil
import tempfile
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from engine.cli.options import console, data_option, installation_settings, json_option, run
from engine.cli.stage import Wish, put_on_stage, visit_stage
from engine.cli.tokens import DURATION
from engine.cli.verdicts import end
from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX, Campaign, Wave
from engine.domain.verdict import Verdict
from engine.errors import UsageError
from engine.rehearsal.client import Address
from engine.rehearsal.credentials import can_be_entitled_by_token
from engine.rehearsal.plan import Plan, draw_plan
from engine.rehearsal.sandbox import sandbox_ids
from engine.scheduling.files import read_campaign_file
from engine.settings import Settings, load_settings
from engine.telemetry import configure_logging

WORKERS = 2
OPENS_IN_MIN_S = 3
"""For the steward to put the wave and for the users to get ready."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--wave", "wave_id", metavar="WAVE", help="The wave to rehearse (default: the first one of the file).")
@click.option("--users", default=30_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--opens-in", "opens_in_s", default="10s", show_default=True, type=DURATION)
@click.option("--seed", type=int, help="Repeats the users of an earlier run (default: drawn, and printed).")
@click.option("--workers", show_default=f"{WORKERS}", type=click.IntRange(1, 64), help="Gateway processes of its own.")
@click.option("--ack", type=click.Choice(["memory", "logged", "settled"]), help="What a reply of its own waits for.")
@click.option("--url", metavar="URL", help="A running installation to rehearse in: https://host, http://host:port.")
@click.option("--redeem", "redeems", is_flag=True, help="Go on into shops: vouchers are used under changed terms (P8).")
@data_option
@json_option
def rehearse(
    file: Path,
    wave_id: str | None,
    users: int,
    opens_in_s: int,
    seed: int | None,
    workers: int | None,
    ack: str | None,
    url: str | None,
    redeems: bool,
    data: str | None,
    as_json: bool,
) -> None:
    """Run a whole drop of a campaign file against simulated users, and say whether every promise held.

    Servers are started in a temporary folder, and one wave is moved so that it opens soon. With --url the drop
    takes place in a running installation, as a sandbox campaign with users of its own, which is closed at the
    end; that takes the installation's secret, from DROPWAVE_SECRET or from --data. Exit status 1 if a promise
    broke; the folder is kept then.
    """
    if opens_in_s < OPENS_IN_MIN_S:
        raise UsageError(f"--opens-in {opens_in_s}s is too soon; it takes {OPENS_IN_MIN_S}s or more")
    _check_options(url, {"--workers": workers, "--ack": ack, "--redeem": redeems or None}, data)
    campaign = read_campaign_file(file)
    wave = _chosen(campaign, wave_id)
    seed = secrets.randbelow(2**32) if seed is None else seed
    if url is None:
        plan = _plan(campaign, wave, users, opens_in_s, seed)
        wish = Wish(campaign, plan, opens_in_s, silent=as_json, redeems=redeems)
        verdict = _on_own_servers(wish, WORKERS if workers is None else workers, ack)
    else:
        ids = sandbox_ids(campaign.id, wave.id, seed, time.time_ns())
        plan = _plan(campaign, msgspec.structs.replace(wave, id=ids.wave), users, opens_in_s, seed, ids.users)
        settings = _with_secret(installation_settings(data))
        wish = Wish(campaign, plan, opens_in_s, silent=as_json)
        verdict = _run(settings, visit_stage(settings, Address.of(url), ids, wave, wish))
    end([verdict], as_json=as_json, console=console)


def _check_options(url: str | None, only_without_url: Mapping[str, object], data: str | None) -> None:
    if url is None and data is not None:
        raise UsageError("--data goes with --url: it names the installation whose secret is used")
    for name, value in only_without_url.items():
        if url is not None and value is not None:
            raise UsageError(f"{name} is for servers of the rehearsal's own, and --url names others: leave one out")


def _with_secret(settings: Settings) -> Settings:
    if not settings.secret:
        raise UsageError(
            "--url takes the installation's secret, to make tickets and tokens of the simulated users: set "
            "DROPWAVE_SECRET, or with --data name the data folder of the `dropwave up` that runs there"
        )
    return settings


def _run(settings: Settings, drop: Coroutine[Any, Any, Verdict]) -> Verdict:
    try:
        return run(settings, drop)
    except asyncio.CancelledError as error:  # SIGTERM: everything was stopped in order on the way here
        raise click.Abort from error


def _on_own_servers(wish: Wish, workers: int, ack: str | None) -> Verdict:
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
        verdict = _run(settings, put_on_stage(settings, wish))
        kept = verdict.broken
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
    if kept:
        click.echo(f"The data are kept in {folder}: `dropwave up --data {folder}` serves them.", err=True)
    return verdict


def _chosen(campaign: Campaign, wave_id: str | None) -> Wave:
    if wave_id is None:
        return campaign.waves[0]
    for wave in campaign.waves:
        if wave.id == wave_id:
            return wave
    known = ", ".join(wave.id for wave in campaign.waves[:10])
    raise UsageError(f"campaign {campaign.id} has no wave {wave_id}; its waves are {known}")


def _plan(campaign: Campaign, wave: Wave, users: int, opens_in_s: int, seed: int, prefix: str = "") -> Plan:
    rules = [campaign.eligibility, *([wave.eligibility] if wave.eligibility else [])]
    return draw_plan(
        wave.id,
        wave.stock,
        users,
        seed,
        claims_max=min([CLAIMS_PER_CLAIMANT_MAX, *(limit.max for limit in campaign.limits)]),
        countdown_ms=opens_in_s * 1000,
        tokens=can_be_entitled_by_token(rules),
        prefix=prefix,
    )

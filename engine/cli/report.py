"""`dropwave report`: what a wave gave out, how fast, and what was done to it."""

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click

from engine.cli.options import json_option, on_installation, print_json, print_table, wall_clock
from engine.errors import UsageError
from engine.gateway.report_objects import report_members
from engine.gateway.status_objects import Members
from engine.reporting.wave_report import report_on
from engine.settings import Settings
from engine.wiring import ledger_first

_BARS: Final = " ▁▂▃▄▅▆▇█"
_CSV_COLUMNS: Final = (
    *("put", "restocked", "rolled_in", "rolled_out", "total"),
    *(
        "claimed",
        "quarantined",
        "voided",
        "left",
        "value_given",
        "first_claim_at",
        "last_claim_at",
        "sold_out_at",
        "sold_out_after_ms",
    ),
)


@click.command()
@click.argument("wave_id", metavar="WAVE")
@click.option("--csv", "as_csv", is_flag=True, help="Print a line for each offer, for a spreadsheet.")
@json_option
@on_installation
async def report(settings: Settings, wave_id: str, as_json: bool, as_csv: bool) -> None:
    """Report on a wave: stock, claims, pace, acts, and how much of it is settled.

    The figures are the ledger's, at any time: before the opening, during the drop, and long after it. Changes
    nothing. With --csv, `complete` in each line says whether every claim is in it.
    """
    if as_json and as_csv:
        raise UsageError("--json and --csv: which one?")
    async with ledger_first(settings) as (ledger, store, away):
        made = await report_on(ledger, store, wave_id, unload_after_ms=settings.unload_after_ms, away=away)
    members = report_members(made)
    if as_json:
        print_json(members)
    elif as_csv:
        _print_csv(members)
    else:
        _print_tables(members)


def _print_csv(report: Members) -> None:
    """Ids and figures only: a title could be taken for a formula."""
    lines = csv.writer(sys.stdout, lineterminator="\n")
    lines.writerow(["wave", "campaign", "offer", "complete", "as_of", "currency", *_CSV_COLUMNS])
    for offer in report["offers"]:
        head = [report["wave"], report["campaign"], offer["id"], str(report["complete"]).lower(), report["as_of"]]
        cells = {**offer, **offer["stock"]}
        lines.writerow([*head, report["currency"], *(cells[column] for column in _CSV_COLUMNS)])


def _print_tables(report: Members) -> None:
    for line in _lines(report):
        click.echo(line)
    rows = [[offer["id"], *_cells(offer)] for offer in report["offers"]]
    if len(rows) > 1:
        rows.append(["all", *_cells(report["total"])])
    print_table(
        ["offer", "stock", "claimed", "left", f"value ({report['currency']}, minor units)", "sold out after"],
        rows,
        empty="No offers.",
    )
    for line in _pace_lines(report):
        click.echo(line)
    print_table(
        ["act", "at", "what", "who", "why"],
        [
            [str(act["number"]), _seconds_clock(act["at"]), act["act"].replace("_", " "), act["actor"], act["reason"]]
            for act in report["acts"]
        ],
        empty="No acts.",
    )


def _lines(report: Members) -> Iterator[str]:
    """Head of the report: what it is about, and how far it can be trusted."""
    schedule, claimants = report["schedule"], report["claimants"]
    sandbox = ", sandbox" if report["sandbox"] else ""
    why = report["stopped"] if report["state"] == "paused" and report["stopped"] else report["reason"]
    yield f"{report['wave']} of {report['campaign']} ({report['title']}{sandbox}): {report['state']}" + (
        f", {why}" if why else ""
    )
    yield f"  open      {_period(schedule)}"
    if _period(schedule["planned"]) != _period(schedule):
        yield f"  planned   {_period(schedule['planned'])}"
    if schedule["closed_at"]:
        yield f"  closed    {_seconds_clock(schedule['closed_at'])}"
    persons = "" if claimants["persons"] is None else f", {claimants['persons']:,} persons"
    yield f"  claimed   {report['total']['claimed']:,} by {claimants['accounts']:,} accounts{persons}"
    if report["total"]["quarantined"] or report["total"]["voided"]:
        yield f"  apart     {report['total']['quarantined']:,} in quarantine, {report['total']['voided']:,} voided"
    if report["total"]["first_claim_at"]:
        first, last = report["total"]["first_claim_at"], report["total"]["last_claim_at"]
        yield f"            first {_seconds_clock(first)}, last {_seconds_clock(last)}"
    yield f"  as of     {_seconds_clock(report['as_of'])}, {_completeness(report)}"
    yield f"  hot store {_hot_store(report)}"


def _completeness(report: Members) -> str:
    settled = report["settled"]
    said = "complete" if report["complete"] else "NOT COMPLETE"
    place = f"settled up to {settled['epoch']}-{settled['number']}"
    if settled["behind"] is None:
        return f"{said}: {place}"
    if not settled["behind"]:
        return f"{said}: {place}, which is everything"
    return f"{said}: {place}, decisions of the campaign that are on their way: {settled['behind']:,}"


def _hot_store(report: Members) -> str:
    hot = report["hot_store"]
    if hot["state"] != "live":
        return {
            "unloaded": "unloaded: the ledger has everything",
            "recovering": "recovering: these are the ledger's figures alone",
            "away": f"away: these are the ledger's figures alone ({hot['why']})",
        }[hot["state"]]
    if hot["claimed"] is None:
        return "the wave is not there yet"
    if not hot["agrees"]:
        return f"{hot['claimed']:,} claimed: IT DOES NOT AGREE with the ledger, see `dropwave audit {report['wave']}`"
    return f"{hot['claimed']:,} claimed, which agrees with the ledger"


def _cells(of: Members) -> list[str]:
    after_ms = of["sold_out_after_ms"]
    return [
        _stock(of["stock"]),
        f"{of['claimed']:,}",
        f"{of['left']:,}",
        f"{of['value_given']:,}",
        "" if after_ms is None else f"{after_ms / 1000:,.3f} s",
    ]


def _stock(stock: Members) -> str:
    """`1,500 (1,000 put, +500 restocked)`; where all of it was put, the number alone."""
    changes = [
        f"{sign * stock[name]:+,} {name.replace('_', ' ')}"
        for name, sign in (("restocked", 1), ("rolled_in", 1), ("rolled_out", -1))
        if stock[name]
    ]
    return f"{stock['total']:,}" + (f" ({stock['put']:,} put, {', '.join(changes)})" if changes else "")


def _pace_lines(report: Members) -> Iterable[str]:
    pace = report["pace"]
    if pace["peak"] is None:
        return ["Nothing is claimed yet." if not report["complete"] or report["state"] != "closed" else "No claims."]
    seconds, peak = pace["by_second"], pace["peak"]
    return [
        f"Claims in the first {len(seconds)} seconds: {sum(seconds):,} │{_bars(seconds)}│",
        f"Peak: {peak['claims']:,} in second {peak['second'] + 1} ({_seconds_clock(peak['at'])})",
    ]


def _bars(counts: Sequence[int]) -> str:
    """A character for each count; whatever is not nothing shows."""
    highest = max(1, *counts)
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // highest)] for count in counts)


def _period(times: Members) -> str:
    return f"{wall_clock(times['opens_at'])} to {wall_clock(times['closes_at'])}"


def _seconds_clock(instant: str) -> str:
    """To the millisecond: in a drop that is what tells things apart."""
    return instant[:10] + " " + instant[11:23]

"""`dropwave trail`: who did what to a campaign, when and why; and whether the record of it is whole."""

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from engine.cli.options import json_option, on_installation, print_json
from engine.cli.verdicts import BROKEN
from engine.errors import UsageError
from engine.gateway.instants import rfc3339
from engine.ledger.database import Ledger
from engine.ledger.differences import Difference, differences
from engine.ledger.trail import ENTRIES_MAX, Broken, End, Entry, read_end, read_trail, verify_trail
from engine.ledger.trail_subjects import Names, Subject, all_subjects, find_subject, names_of
from engine.settings import Settings
from engine.wiring import ledger_only

VALUE_CHARACTERS_MAX = 240
"""Of one value in a line; `--json` has all of it."""


@click.group()
def trail() -> None:
    """The audit trail: every apply and act, with what was before and after, each entry sealed by the next."""


@trail.command()
@click.argument("subject", metavar="[CAMPAIGN|WAVE]", required=False)
@click.option(
    "--last", type=click.IntRange(1, ENTRIES_MAX), default=50, show_default=True, help="That many entries, the newest."
)
@json_option
@on_installation
async def show(settings: Settings, subject: str | None, last: int, as_json: bool) -> None:
    """Show who did what, when and why, and what changed by it. Of all campaigns, of one, or of one wave."""
    shown: list[dict[str, Any]] = []
    async with ledger_only(settings) as ledger:
        for each in await _subjects(ledger, subject):
            names = await names_of(ledger, each.campaign_no)
            entries = await read_trail(ledger, each.campaign_no, each.wave, last)
            if as_json:
                shown += [_members(each, entry) for entry in entries]
            else:
                click.echo(
                    f"{each.wave or each.campaign}:" if entries else f"{each.wave or each.campaign}: no entries."
                )
                for line in (line for entry in entries for line in _lines(each, names, entry)):
                    click.echo(f"  {line}")
    if as_json:
        print_json(shown)


@trail.command()
@click.argument("subject", metavar="[CAMPAIGN]", required=False)
@json_option
@on_installation
async def verify(settings: Settings, subject: str | None, as_json: bool) -> None:
    """Say whether the trail is whole, of one campaign or of all. Exit status 1 if it is not.

    Somebody who can change the ledger can write a whole trail anew. Keep the last hash, which this prints, somewhere
    else: the trail that has it in it is the one of today.
    """
    async with ledger_only(settings) as ledger:
        found = [
            (each.campaign, await read_end(ledger, each.campaign_no), await verify_trail(ledger, each.campaign_no))
            for each in await _subjects(ledger, subject)
        ]
    if as_json:
        print_json(
            [{"campaign": id, "entries": end.position, "hash": end.hash, "broken": bad} for id, end, bad in found]
        )
    else:
        for id, end, broken in found:
            for line in _verdict(id, end, broken):
                click.echo(line)
    if any(broken for _, _, broken in found):
        sys.exit(BROKEN)


def _verdict(campaign: str, end: End, broken: list[Broken]) -> Iterator[str]:
    if not broken:
        yield f"{campaign}: whole, {end.position} entries, the last hash is {end.hash or 'none yet'}"
        return
    yield f"{campaign}: BROKEN at entry {broken[0].position}: {broken[0].why}"
    for each in broken[1:]:
        yield f"  entry {each.position}: {each.why}"


async def _subjects(ledger: Ledger, id: str | None) -> list[Subject]:
    if id is None:
        subjects = await all_subjects(ledger)
        if not subjects:
            raise UsageError("no campaign is applied: there is no trail")
        return subjects
    found = await find_subject(ledger, id)
    if found is None:
        raise UsageError(f"{id} is neither a campaign nor a wave that was ever applied")
    return [found]


def _members(subject: Subject, entry: Entry) -> dict[str, Any]:
    told = entry.happening
    return {
        "campaign": subject.campaign,
        "position": entry.position,
        "at": told.at.astimezone(ZoneInfo(subject.timezone)).isoformat(),
        "actor": told.actor,
        "reason": told.reason,
        "kind": told.kind,
        "subject": told.subject,
        "changed": list(differences(told.before, told.after)),
        "before": told.before,
        "after": told.after,
        "previous_hash": entry.previous_hash,
        "hash": entry.hash,
    }


def _lines(subject: Subject, names: Names, entry: Entry) -> Iterator[str]:
    told = entry.happening
    at = told.at.astimezone(ZoneInfo(subject.timezone)).isoformat(" ", "milliseconds")
    yield f"{entry.position}  {at}  {told.actor}: {told.kind.replace('_', ' ')} {told.subject}"
    if told.reason:
        yield f"    why: {told.reason}"
    if told.before is None and told.kind in ("apply", "put_wave", "put_campaign"):
        yield "    for the first time"
        return
    before, after = told.before, told.after
    if told.kind != "apply":
        before, after = _with_ids(before, names), _with_ids(after, names)
    changed = [f"    {each.path}: {_change(each, subject.timezone)}" for each in differences(before, after)]
    yield from changed or ["    nothing changed"]


def _with_ids(state: dict[str, Any] | None, names: Names) -> dict[str, Any]:
    """The state that an act put, with the ids of offers and waves in the place of their numbers."""
    state = dict(state or {})
    for field in ("offers", "rolled_out"):
        if state.get(field):
            state[field] = _renamed(state[field], names.offers)
    if state.get("rolled_in"):
        units = {wave: _renamed(given, names.offers) for wave, given in state["rolled_in"].items()}
        state["rolled_in"] = _renamed(units, names.waves)
    return state


def _renamed(by_number: dict[str, Any], ids: Mapping[int, str]) -> dict[str, Any]:
    return {ids.get(int(number), number): value for number, value in by_number.items()}


def _change(difference: Difference, timezone: str) -> str:
    old, new = difference.before, difference.after
    if old is None and isinstance(new, dict):
        return f"new {_words(difference.path, new, timezone)}"
    if new is None and isinstance(old, dict):
        return "gone"
    return f"{_words(difference.path, old, timezone)} → {_words(difference.path, new, timezone)}"


def _words(path: str, value: Any, timezone: str) -> str:
    """A value of the trail as a person reads it: instants in the campaign's zone."""
    if value is None or value == "" or (value == 0 and path.endswith("_ms")):
        return "none"
    if isinstance(value, int) and path.endswith("_ms"):
        return rfc3339(value, timezone)
    if isinstance(value, str) and path.endswith("_at"):
        return datetime.fromisoformat(value).astimezone(ZoneInfo(timezone)).isoformat()
    if isinstance(value, dict):
        text = ", ".join(
            f"{name} {_words(name, part, timezone)}" for name, part in value.items() if part not in (None, "", {}, [])
        )
        text = f"({text})"
    elif isinstance(value, list):
        text = ", ".join(_words("", part, timezone) for part in value) or "none"
    else:
        text = str(value)
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[:VALUE_CHARACTERS_MAX]}…"

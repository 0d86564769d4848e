"""What operators are shown of campaigns, waves and acts, as plain members of JSON objects.

The command line prints the same objects with `--json`.
"""

from collections.abc import Mapping, Sequence

from engine.claiming.board import LiveWave, live_waves
from engine.domain.campaign import Catalogue
from engine.domain.verdict import PROMISES, Finding, Verdict
from engine.gateway.instants import rfc3339
from engine.gateway.status_objects import Members, wave_members
from engine.scheduling.operations import CampaignResult, Done, Seen


def seen_members(seen: Seen) -> Members:
    """A wave as its status page has it, and what only operators see."""
    live = next(live for live in live_waves(seen.shard) if live.wave.no == seen.wave.no)
    return live_members(live, seen.shard.now_ms) | {
        "rolled_in": _rolled_in(seen),
        "rolled_out": None if seen.state.rolled_out is None else _by_offer(seen.catalogue, seen.state.rolled_out),
        "act_no": seen.shard.act,
        "epoch": seen.shard.epoch,
    }


def live_members(live: LiveWave, now_ms: int) -> Members:
    """The same of a wave on the board, or in the ledger."""
    state, zone = live.state, live.catalogue.timezone
    members = wave_members(live, live.status(now_ms))
    for offer in members["offers"]:
        offer["claimed"] = None if offer["left"] is None else offer["stock"] - offer["left"]
    return members | {
        "reason": members.get("reason", state.reason),
        "flag": state.state,
        "stopped": live.stopped,
        "day": state.day,
        "revision": live.catalogue.revision,
        "tickets_void_before": rfc3339(state.void_before_ms, zone) if state.void_before_ms else None,
    }


def done_members(done: Done) -> Members:
    """What came of an act on a wave."""
    return {
        "wave": done.after.wave.id,
        "act": done.act,
        "done": done.done,
        "before": seen_members(done.before),
        "after": seen_members(done.after),
    }


def results_members(act: str, results: Sequence[CampaignResult]) -> Members:
    """What came of an act on all campaigns."""
    return {
        "act": act,
        "campaigns": [
            {"campaign": each.campaign, "done": each.done} | ({"error": each.error} if each.error else {})
            for each in results
        ],
    }


def campaign_row(catalogue: Catalogue, stopped: Mapping[str, str]) -> Members:
    """A campaign in the list. `stopped`: the reason, or "", of each one in the hot store."""
    return {
        "id": catalogue.id,
        "title": catalogue.title,
        "timezone": catalogue.timezone,
        "revision": catalogue.revision,
        "sandbox": catalogue.sandbox,
        "loaded": catalogue.id in stopped,
        "stopped": stopped.get(catalogue.id, ""),
        "waves": [
            {
                "id": wave.id,
                "opens_at": rfc3339(wave.opens_at_ms, catalogue.timezone),
                "closes_at": rfc3339(wave.closes_at_ms, catalogue.timezone),
            }
            for wave in catalogue.waves
        ],
    }


def verdict_members(verdict: Verdict) -> Members:
    """A verdict of the audit."""
    return {
        "subject": verdict.subject,
        "broken": verdict.broken,
        "notes": verdict.notes,
        "findings": [_finding(finding) for finding in verdict.findings],
    }


def _finding(finding: Finding) -> Members:
    return {
        "promise": finding.promise,
        "says": PROMISES[finding.promise],
        "held": finding.held,
        "figures": finding.figures,
        "examples": finding.examples,
    }


def _rolled_in(seen: Seen) -> dict[str, dict[str, int]]:
    """Units got from other waves: wave id -> offer id -> units."""
    ids = {str(wave.no): wave.id for wave in seen.catalogue.waves}
    return {ids.get(no, no): _by_offer(seen.catalogue, units) for no, units in seen.state.rolled_in.items()}


def _by_offer(catalogue: Catalogue, units: Mapping[str, int]) -> dict[str, int]:
    ids = {str(offer.no): offer.id for offer in catalogue.offers}
    return {ids.get(no, no): count for no, count in units.items()}

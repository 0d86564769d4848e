"""A report as plain members of a JSON object, for operators over HTTP and for `dropwave report --json`."""

from engine.domain.decisions import ActLine, LogEntry
from engine.gateway.instants import rfc3339
from engine.gateway.status_objects import Members
from engine.reporting.report import OfferReport, WaveReport
from engine.reporting.stock import Stock


def report_members(report: WaveReport) -> Members:
    """The whole report. Instants in the campaign's zone, money in minor units of its currency."""
    catalogue, state, sight = report.catalogue, report.state, report.sight
    return {
        "wave": report.wave,
        "campaign": catalogue.id,
        "title": catalogue.title,
        "sandbox": catalogue.sandbox,
        "currency": catalogue.currency,
        "round": state.round,
        "day": state.day,
        "state": report.status,
        "reason": state.reason,
        "stopped": report.stopped,
        "as_of": _at(report, report.as_of_ms),
        "complete": report.complete,
        "settled": {
            "epoch": report.settled.place[0],
            "number": report.settled.place[1],
            "behind": report.settled.behind,
        },
        "hot_store": {
            "state": sight.state,
            "why": sight.why,
            "claimed": sum(offer.claimed for offer in sight.offers.values()) if sight.wave else None,
            "agrees": report.agrees,
        },
        "schedule": {
            "planned": {
                "opens_at": _at(report, report.planned_ms[0]),
                "closes_at": _at(report, report.planned_ms[1]),
            },
            "opens_at": _at(report, state.opens_ms),
            "closes_at": _at(report, state.closes_ms),
            "closed_at": _at(report, state.closed_ms or None),
        },
        "total": {"stock": _stock(report.stock), "left": report.left} | _course(report, report),
        "claimants": {"accounts": report.accounts, "persons": report.persons},
        "pace": {
            "by_second": report.by_second,
            "peak": None
            if report.peak is None
            else {
                "at": _at(report, state.opens_ms + report.peak.second * 1000),
                "second": report.peak.second,
                "claims": report.peak.claims,
            },
        },
        "offers": [_offer(report, offer) for offer in report.offers],
        "acts": [_act(report, entry, act) for entry, act in report.acts],
        "acts_left_out": report.acts_left_out,
    }


def _offer(report: WaveReport, offer: OfferReport) -> Members:
    return {
        "id": offer.id,
        "title": offer.title,
        "face": offer.face,
        "stock": _stock(offer.stock),
        "left": offer.left,
        **_course(report, offer),
        "terms": [
            {"version": given.version, "hash": given.hash, "value": given.value, "claims": given.claims}
            for given in offer.terms
        ],
        "by_second": offer.by_second,
        "hot_store": offer.hot and {"stock": offer.hot.total, "claimed": offer.hot.claimed, "left": offer.hot.left},
    }


def _course(report: WaveReport, of: OfferReport | WaveReport) -> Members:
    """What was given of one offer, or of all of them."""
    return {
        "claimed": of.claimed,
        "quarantined": of.quarantined,
        "voided": of.voided,
        "value_given": of.value_given,
        "first_claim_at": _at(report, of.first_claim_ms),
        "last_claim_at": _at(report, of.last_claim_ms),
        "sold_out_at": _at(report, of.sold_out_ms),
        "sold_out_after_ms": report.since_opening_ms(of.sold_out_ms),
    }


def _stock(stock: Stock) -> Members:
    return {
        "put": stock.put,
        "restocked": stock.restocked,
        "rolled_in": stock.rolled_in,
        "rolled_out": stock.rolled_out,
        "total": stock.total,
    }


def _act(report: WaveReport, entry: LogEntry, act: ActLine) -> Members:
    return {
        "number": act.number,
        "act": act.kind,
        "at": _at(report, entry.at_ms),
        "actor": act.actor,
        "reason": act.reason,
    }


def _at(report: WaveReport, at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms, report.catalogue.timezone)

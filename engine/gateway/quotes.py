"""`POST /v1/merchant/quotes`: the vouchers of a user that a till can use for a payment, and why not the others.

The till needs the codes of those that can be used; of the others it learns what they are and the reason, which is what
a redemption would answer.
"""

from typing import Any, Final

import msgspec
import structlog

from engine.domain.codes import grouped
from engine.domain.redemption import Fit, Line, Unfit
from engine.errors import LedgerError
from engine.gateway.answer import PRIVATE, Answer, Heading
from engine.gateway.guesses import NOTHING
from engine.gateway.identity.caller import IDENTITY_LENGTH_MAX, Caller
from engine.gateway.instants import rfc3339
from engine.gateway.json_objects import read_object
from engine.gateway.language import choose
from engine.gateway.merchant_bodies import amount_of, lines_of, text_of
from engine.gateway.parts import GatewayParts
from engine.gateway.problems import KINDS
from engine.gateway.redemptions import NOT_ITS_STORE
from engine.gateway.refusals import Problem, refuse
from engine.gateway.voucher_answers import problem_of
from engine.redeeming.quoting import AskQuotes, Quoted, Quotes

log = structlog.get_logger(__name__)

_BUSY: Final = Problem("busy")
_encode: Final = msgspec.json.Encoder().encode


class QuoteEndpoint:
    """Quotes, whatever has parsed the request."""

    def __init__(self, parts: GatewayParts) -> None:
        self._shops = parts.shops
        self._quoting = parts.quoting

    async def quotes(self, caller: Caller, heading: Heading, body: bytes) -> Answer:
        """The vouchers of the user that the body names, for the order that it tells of."""
        sent = read_quote_body(body)
        if isinstance(sent, Problem):
            return refuse(sent, heading.accept_language)
        if sent.store not in caller.stores:
            return refuse(NOT_ITS_STORE, heading.accept_language)
        try:
            merchant = await self._shops.merchant_of(sent.store)
            quotes = await self._quoting.quotes(msgspec.structs.replace(sent, merchant=merchant))
        except LedgerError as error:
            log.warning("quotes cannot be made", error=str(error))
            return refuse(_BUSY, heading.accept_language)
        outcome = "ok" if quotes.usable or quotes.unusable else NOTHING
        headers = (*PRIVATE, ("Content-Language", choose(heading.accept_language)), ("Vary", "Accept-Language"))
        return Answer(200, outcome, headers, _encode(_members(sent, quotes, heading.accept_language)))


def read_quote_body(body: bytes) -> AskQuotes | Problem:
    """What the till asks, without its merchant, or `invalid_request` with what is wrong and where. Never raises."""
    fields = read_object(body)
    if isinstance(fields, Problem):
        return fields
    texts: dict[str, str] = {}
    for name, least in (("user", 1), ("store", 1), ("order_no", 0), ("payment_no", 0)):
        text = text_of(fields, name, least, IDENTITY_LENGTH_MAX) if name == "user" else text_of(fields, name, least)
        if isinstance(text, Problem):
            return text
        texts[name] = text
    amount = amount_of(fields)
    if isinstance(amount, Problem):
        return amount
    lines = lines_of(fields, amount)
    if isinstance(lines, Problem):
        return lines
    account = texts.pop("user")
    return AskQuotes(account=account, merchant="", amount=amount, lines=lines, **texts)


def _members(asked: AskQuotes, quotes: Quotes, accept_language: str) -> dict[str, Any]:
    return {
        "user": asked.account,
        "store": asked.store,
        "amount": asked.amount,
        "as_of_ms": quotes.now_ms,
        "complete": quotes.is_complete,
        "usable": [_usable(each, each.decision, asked) for each in quotes.usable if isinstance(each.decision, Fit)],
        "unusable": [
            _unusable(each, each.decision, accept_language)
            for each in quotes.unusable
            if isinstance(each.decision, Unfit)
        ],
        "left_out": quotes.left_out,
    }


def _usable(quoted: Quoted, fit: Fit, asked: AskQuotes) -> dict[str, Any]:
    code = quoted.standing.code
    return {
        "code": code,
        "code_grouped": grouped(code),
        **_voucher(quoted),
        "currency": quoted.kept.promise.currency,
        "discount": fit.discount,
        "due": asked.amount - fit.discount,
        "lines": _lines(asked.lines, fit.shares),
    }


def _lines(lines: tuple[Line, ...], shares: tuple[int, ...]) -> list[dict[str, Any]]:
    both = zip(lines, shares, strict=True)
    return [{"id": line.id or None, "amount": line.amount, "discount": share} for line, share in both]


def _unusable(quoted: Quoted, unfit: Unfit, accept_language: str) -> dict[str, Any]:
    """Without the code: nothing can be done with it here, and at the next counter it may be worth something."""
    problem, language = problem_of(unfit), choose(accept_language)
    detail = {} if problem.detail is None else {"detail": problem.detail.say(language)}
    reason = {"code": problem.code, "title": KINDS[problem.code].title.say(language)}
    return {**_voucher(quoted), "reason": {**reason, **detail, **(problem.extras or {})}}


def _voucher(quoted: Quoted) -> dict[str, Any]:
    standing, kept = quoted.standing, quoted.kept
    return {
        "campaign": kept.campaign,
        "offer": kept.offer,
        "title": kept.promise.offer.title,
        "expires_at": rfc3339(standing.period.expires_at_ms, kept.promise.timezone),
        "terms": {"version": standing.terms_version, "hash": kept.hash},
    }

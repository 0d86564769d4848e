"""`GET /v1/merchant/statements` for the stores of a token, and `GET /v1/ops/statements` for those of everybody."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import msgspec
import structlog

from engine.errors import LedgerError
from engine.gateway.answer import BARE, PRIVATE, Answer, Heading, Words
from engine.gateway.callers import Doorkeeper
from engine.gateway.identity.caller import STORES_MAX, Caller, is_clean
from engine.gateway.json_objects import invalid
from engine.gateway.merchant_bodies import NUMBER_LENGTH_MAX
from engine.gateway.parts import GatewayParts
from engine.gateway.redemptions import NOT_ITS_STORE
from engine.gateway.refusals import Problem, refuse
from engine.gateway.statement_objects import CSV_TYPE, statement_csv, statement_members
from engine.reporting.statement import DAYS_MAX, TooManyRows, Wanted

log = structlog.get_logger(__name__)

Query = Sequence[tuple[str, str]]
"""The parameters of an address, in their order; a name may come twice."""

_IN_LINE_MAX: Final = 4
"""Statements that are made or wait for that, in one gateway: a quarter of a large merchant takes the ledger seconds."""
_TOO_MANY: Final = Problem("busy", Words("other statements are being made here", "正在生成其他对账单"))
_BUSY: Final = Problem("busy")
_CSV: Final = (*BARE, ("Content-Type", CSV_TYPE), ("Cache-Control", "no-store"))
_encode: Final = msgspec.json.Encoder().encode


class StatementEndpoint:
    """Makes statements, one after the other: redemptions come first."""

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper) -> None:
        self._shops = parts.shops
        self._statement = parts.ops.statement
        self._doorkeeper = doorkeeper
        self._making = asyncio.Lock()
        self._in_line = 0

    async def of_merchant(self, caller: Caller, query: Query, heading: Heading) -> Answer:
        """Of the token's stores, or of those among them that `store` names."""
        asked = _read(query)
        if isinstance(asked, Problem):
            return refuse(asked, heading.accept_language)
        wanted, stores, _, is_csv = asked
        if not set(stores) <= set(caller.stores):
            return refuse(NOT_ITS_STORE, heading.accept_language)
        try:
            pairs = await self._with_merchants(stores or caller.stores)
        except LedgerError as error:
            log.warning("stores cannot be read", error=str(error))
            return refuse(_BUSY, heading.accept_language)
        merchants = tuple(pairs.values())
        wanted = msgspec.structs.replace(wanted, merchants=merchants, stores=tuple(pairs))
        return await self._answer(wanted, heading, is_csv=is_csv)

    async def of_all(self, query: Query, heading: Heading) -> Answer:
        """Of every merchant, or of those stores or merchants that are named; for operators who may look."""
        caller = self._doorkeeper.viewer(heading.authorization)
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        asked = _read(query)
        if isinstance(asked, Problem):
            return refuse(asked, heading.accept_language)
        wanted, stores, merchants, is_csv = asked
        if stores and merchants:
            return refuse(_STORE_OR_MERCHANT, heading.accept_language)
        if stores:
            try:
                pairs = await self._with_merchants(stores)
            except LedgerError as error:
                log.warning("stores cannot be read", error=str(error))
                return refuse(_BUSY, heading.accept_language)
            wanted = msgspec.structs.replace(wanted, merchants=tuple(pairs.values()), stores=tuple(pairs))
        elif merchants:
            wanted = msgspec.structs.replace(wanted, merchants=merchants)
        return await self._answer(wanted, heading, is_csv=is_csv)

    async def _with_merchants(self, stores: Sequence[str]) -> dict[str, str]:
        """Each store with the merchant whose it is now; what stood there under another merchant is not its business."""
        found = {store: await self._shops.merchant_of(store) for store in stores}
        return {store: merchant for store, merchant in found.items() if merchant}

    async def _answer(self, wanted: Wanted, heading: Heading, *, is_csv: bool) -> Answer:
        if self._in_line >= _IN_LINE_MAX:
            return refuse(_TOO_MANY, heading.accept_language)
        self._in_line += 1
        try:
            async with self._making:
                statement = await self._statement(wanted)
        except LedgerError as error:
            log.warning("a statement cannot be made", error=str(error))
            return refuse(_BUSY, heading.accept_language)
        finally:
            self._in_line -= 1
        if isinstance(statement, TooManyRows):
            return refuse(_narrower(statement.rows_max), heading.accept_language)
        if is_csv:
            return Answer(200, "ok", _CSV, statement_csv(statement.rows).encode())
        return Answer(200, "ok", PRIVATE, _encode(statement_members(statement)))


_Asked = tuple[Wanted, tuple[str, ...], tuple[str, ...], bool]
"""Days and lines, stores and merchants by name, whether as CSV."""
_TRUTHS: Final[Mapping[str, bool]] = {"": False, "0": False, "false": False, "1": True, "true": True}


def _read(query: Query) -> _Asked | Problem:
    """What the address asks for, or `invalid_request` with what is wrong and where. Never raises."""
    given: dict[str, list[str]] = {}
    for name, value in query:
        given.setdefault(name, []).append(value)
    first, last = _day(given, "from"), _day(given, "to")
    if isinstance(first, Problem):
        return first
    if isinstance(last, Problem):
        return last
    if not 0 <= (last - first).days < DAYS_MAX:
        return invalid(
            "to",
            Words(
                f"to has to be from's day or one of the {DAYS_MAX - 1} after it",
                f"to 必须不早于 from，且最多 {DAYS_MAX} 天",
            ),
        )
    names: dict[str, tuple[str, ...]] = {}
    for name in ("store", "merchant"):
        texts = given.get(name, [])
        if len(texts) > STORES_MAX or not all(text and is_clean(text, NUMBER_LENGTH_MAX) for text in texts):
            return invalid(
                name,
                Words(
                    f"{name} can be given {STORES_MAX} times, with 1 to {NUMBER_LENGTH_MAX} characters each",
                    f"{name} 最多 {STORES_MAX} 个，每个 1 到 {NUMBER_LENGTH_MAX} 个字符",
                ),
            )
        names[name] = tuple(dict.fromkeys(texts))
    written = given.get("format", ["json"])[-1]
    if written not in ("json", "csv"):
        return invalid("format", Words("format can be json or csv", "format 只能是 json 或 csv"))
    by_line = _TRUTHS.get(given.get("lines", [""])[-1])
    if by_line is None:
        return invalid("lines", Words("lines can be 1 or 0", "lines 只能是 1 或 0"))
    return Wanted(first, last, by_line=by_line), names["store"], names["merchant"], written == "csv"


def _day(given: Mapping[str, list[str]], name: str) -> date | Problem:
    text = given.get(name, [""])[-1]
    try:
        day = date.fromisoformat(text) if len(text) == len("2026-11-30") else None
    except ValueError:
        day = None
    if day is None or not 1970 <= day.year <= 9998:
        return invalid(name, Words(f"{name} has to be a day like 2026-11-30", f"{name} 必须是日期，例如 2026-11-30"))
    return day


_STORE_OR_MERCHANT: Final = invalid("store", Words("store or merchant, not both", "store 与 merchant 只能选其一"))


def _narrower(rows_max: int) -> Problem:
    return invalid(
        "to",
        Words(
            f"more than {rows_max} rows: ask for fewer days or stores",
            f"超过 {rows_max} 行：请减少天数或门店",
        ),
    )

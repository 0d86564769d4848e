"""What merchants and operators ask for to settle up."""

from typing import Any, Final

from engine.gateway.answer import Words
from engine.gateway.openapi.operation import Content, Operation, Success, Who
from engine.gateway.openapi.shapes import one_of, schema, text
from engine.gateway.openapi.statement_shapes import CSV_EXAMPLE, STATEMENT_EXAMPLE
from engine.gateway.statement_objects import CSV_TYPE
from engine.reporting.statement import DAYS_MAX, ROWS_MAX


def _parameter(name: str, says: str, shape: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": says, "schema": shape, **rest}


_DAYS: Final = (
    _parameter("from", "The first day, in the zone of each campaign", text(format="date"), required=True)
    | {"example": "2026-11-23"},
    _parameter("to", f"The last day, included; at most {DAYS_MAX} days", text(format="date"), required=True)
    | {"example": "2026-11-23"},
)
_HOW: Final = (
    _parameter("format", "`json` where it is missing", one_of(("json", "csv"))),
    _parameter("lines", "`1`: a row for each line that the tills named", one_of(("0", "1"))),
)
_SUCCESSES: Final = (
    Success(
        200,
        Words("The sums, as the ledger has them", "账本中的汇总"),
        (
            Content("application/json", schema("Statement"), STATEMENT_EXAMPLE),
            Content(CSV_TYPE.partition(";")[0], text("RFC 4180; the first line names the columns"), CSV_EXAMPLE),
        ),
    ),
)
_MORE: Final = Words(
    f"Sums by day, merchant, store, campaign, funder and currency; at most {ROWS_MAX:,} rows. A reversal counts on its "
    "own day. A day that is not over is marked (`going_on`).",
    f"按日期、商户、门店、活动、出资方和币种汇总，最多 {ROWS_MAX:,} 行。退款计入退款当日。"
    "未结束的日期标为 `going_on`。",
)


def _statement(path: str, id: str, who: Who, title: Words, query: tuple[dict[str, Any], ...]) -> Operation:
    return Operation(
        "get",
        path,
        id,
        "operators" if who == "viewer" else "shops",
        who,
        title,
        _SUCCESSES,
        frozenset({"busy"}),
        _MORE,
        query=query,
        has_head=False,
    )


def _several(name: str, says: str) -> dict[str, Any]:
    return _parameter(name, says, {"type": "array", "items": text()}, explode=True)


STATEMENT_OPERATIONS: Final = (
    _statement(
        "/v1/merchant/statements",
        "merchant_statement",
        "merchant",
        Words("A statement for the token's stores", "门店对账单"),
        (*_DAYS, _several("store", "Of these alone; can be given again"), *_HOW),
    ),
    _statement(
        "/v1/ops/statements",
        "ops_statement",
        "viewer",
        Words("A statement for all stores", "全部门店对账单"),
        (
            *_DAYS,
            _several("store", "Of these alone; can be given again"),
            _several("merchant", "Of these alone; not together with `store`"),
            *_HOW,
        ),
    ),
)

"""What operators ask for about a single voucher, and what they get."""

from typing import Any, Final, get_args

from engine.domain.voucher import State, StepKind
from engine.gateway.answer import Words
from engine.gateway.openapi.claim_shapes import CLAIM_ID, CODE, PERIOD, PLACE, TITLE
from engine.gateway.openapi.operation import Content, Operation, Success
from engine.gateway.openapi.shapes import Shape, instant, listed, members, one_of, or_null, schema, text, truth, whole
from engine.ledger.voucher_acts import HISTORY_MAX, TRAIL_KINDS

_JSON: Final = "application/json"
_VOUCHER: Final = "/v1/ops/vouchers/{code}"
_NOT_THERE: Final = frozenset({"mistyped_code", "unknown_code", "not_settled_yet"})
_EXAMPLE: Final[dict[str, Any]] = {"reason": "the store has closed for good"}

OPS_VOUCHER_SHAPES: Final[dict[str, Shape]] = {
    "VoucherStep": members(
        {
            "step": whole("Counts from 1", 1),
            "kind": one_of(get_args(StepKind)),
            "at": instant("By the ledger's clock"),
            "merchant": or_null(text()),
            "store": or_null(text()),
            "clerk": or_null(text()),
            "order_no": or_null(text()),
            "amount": or_null(whole("In minor units")),
            "discount": or_null(whole("Given, or taken back")),
            "until": or_null(instant("Of a lock; exclusive")),
            "by": or_null(text("Of a reversal: who wanted it")),
            "actor": or_null(text("Who took it back; its holder's account, who deleted it")),
            "reason": or_null(text("As its holder is told")),
        }
    ),
    "VoucherSeen": members(
        {
            "code": CODE,
            "code_grouped": text("The code as it is read out"),
            "state": one_of(get_args(State), "At the moment of the answer"),
            "claim": CLAIM_ID,
            **PLACE,
            "title": TITLE,
            "terms": schema("Terms"),
            "account": text("Its holder's"),
            "claimed_at": instant(),
            **PERIOD,
            "hidden": truth("Its holder has deleted the card"),
            "steps": listed(schema("VoucherStep"), "The newest, oldest first", maxItems=HISTORY_MAX),
        }
    ),
    "TakenBack": members(
        {
            "act": one_of(TRAIL_KINDS),
            "done": truth("False where it was so already"),
            "before": schema("VoucherSeen"),
            "after": schema("VoucherSeen"),
        }
    ),
}


def _taking(act: str, title: Words, more: Words) -> Operation:
    says = Words("Taken back, or so already; the voucher before and after", "已收回或原已如此；附前后的券")
    return Operation(
        "post",
        f"{_VOUCHER}/{act}",
        f"{act}_voucher",
        "operators",
        "operator",
        title,
        (Success(200, says, (Content(_JSON, schema("TakenBack")),)),),
        _NOT_THERE | {"act_refused", "act_incomplete"},
        more,
        sent=(Content(_JSON, schema("Act"), _EXAMPLE),),
    )


OPS_VOUCHER_OPERATIONS: Final = (
    Operation(
        "get",
        _VOUCHER,
        "show_voucher",
        "operators",
        "viewer",
        Words("A voucher for operators", "消费券（运营）"),
        (
            Success(
                200,
                Words("The voucher with what was done with it", "消费券及其全部经过"),
                (Content(_JSON, schema("VoucherSeen")),),
            ),
        ),
        _NOT_THERE | {"busy"},
        has_head=False,
    ),
    _taking(
        "invalidate",
        Words("Take a voucher back", "使券失效"),
        Words(
            "For good; its holder sees the reason. Not what was used, has expired, or is held for an unpaid order.",
            "不可恢复，持券人可见原因。已使用、已过期或被未付款订单占用的券不能收回。",
        ),
    ),
    _taking(
        "cancel",
        Words("Cancel a voucher", "取消券"),
        Words(
            "As invalidating, for one that should not have been given. The claim still counts, its unit stays used.",
            "同使券失效，用于误发的券。该次领取仍计入限额，库存不退回。",
        ),
    ),
)

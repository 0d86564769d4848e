"""What operators ask for."""

from typing import Final

from engine.gateway.answer import Words
from engine.gateway.openapi.operation import Content, Operation, Success
from engine.gateway.openapi.ops_shapes import ACT_EXAMPLES, CAMPAIGN_EXAMPLES
from engine.gateway.openapi.shapes import Shape, schema, text
from engine.gateway.ops_bodies import YAML_TYPES
from engine.scheduling.performing import WORDS_LENGTH_MAX

_JSON: Final = "application/json"
_TAGGED: Final = ("Cache-Control", "ETag")
_WAVE: Final = "/v1/ops/waves/{wave}"
_ACTS: Final[tuple[tuple[str, str, Words, Words, frozenset[str]], ...]] = (
    (
        "pause",
        "Act",
        Words("Pause a wave", "暂停批次"),
        Words("Nobody claims from the next batch on.", "自下一批起无人可领取。"),
        frozenset(),
    ),
    ("resume", "Act", Words("Resume a wave", "恢复批次"), Words("Ends a pause.", "结束暂停。"), frozenset()),
    (
        "close",
        "Act",
        Words("Close a wave", "结束批次"),
        Words("For good. Claims stand.", "不可恢复。已有领取仍然有效。"),
        frozenset(),
    ),
    (
        *("cancel", "Act", Words("Cancel a wave", "取消批次")),
        *(
            Words("For good; users see the reason. Claims stand.", "不可恢复；用户可见原因。已有领取仍然有效。"),
            frozenset(),
        ),
    ),
    (
        *("restock", "Restock", Words("Set the stock of a wave", "调整库存")),
        *(
            Words("All offers that are named change together, or none.", "所列各券同时调整，或都不调整。"),
            frozenset({"unknown_offer"}),
        ),
    ),
    (
        *("move", "Move", Words("Move a wave", "调整时间")),
        *(
            Words("Only a wave that is not open yet. Tickets stay good.", "仅限尚未开始的批次。领取凭证仍然有效。"),
            frozenset(),
        ),
    ),
    (
        *("void-tickets", "VoidTickets", Words("Void tickets", "作废领取凭证")),
        *(
            Words("Those issued before an instant, by default until now.", "作废某时刻之前（默认为现在）签发的凭证。"),
            frozenset(),
        ),
    ),
)
_EVERYWHERE: Final = (
    ("stop-all", Words("Stop all claiming", "全部停止")),
    ("start-all", Words("Start all claiming", "全部恢复")),
)


def _shown(shape: str, says: Words, headers: tuple[str, ...] = ("Cache-Control",)) -> tuple[Success, ...]:
    return (Success(200, says, (Content(_JSON, schema(shape)),), headers),)


def _reason(shape: str) -> tuple[Content, ...]:
    return (Content(_JSON, schema(shape), ACT_EXAMPLES[shape]),)


def _act(name: str, shape: str, title: Words, more: Words, refusals: frozenset[str]) -> Operation:
    return Operation(
        "post",
        f"{_WAVE}/{name}",
        f"{name.replace('-', '_')}_wave" if name != "void-tickets" else "void_tickets",
        "operators",
        "operator",
        title,
        _shown("Done", Words("Done, or so already; the wave before and after", "已执行或原已如此；附执行前后的批次")),
        refusals | {"unknown_wave", "act_refused", "recovering", "act_incomplete"},
        more,
        sent=_reason(shape),
    )


def _everywhere(name: str, title: Words) -> Operation:
    return Operation(
        "post",
        f"/v1/ops/{name}",
        name.replace("-", "_"),
        "operators",
        "operator",
        title,
        _shown("Results", Words("Done in every campaign of the hot store", "已在热存储的全部活动中执行")),
        frozenset({"recovering", "act_incomplete"}),
        Words(
            "Each campaign by itself: one that fails does not hinder the others.", "逐个活动执行，一个失败不影响其他。"
        ),
        sent=_reason("Act"),
    )


_FILE: Final[Shape] = {"anyOf": [schema("SentCampaign"), schema("CampaignFile")]}
_LOOKS: Final = (
    Operation(
        "get",
        "/v1/ops/campaigns",
        "list_campaigns",
        "operators",
        "viewer",
        Words("All campaigns", "全部活动"),
        _shown(
            "CampaignRows",
            Words(
                "All that the ledger has; without it, those in the hot store",
                "账本中的全部活动；账本不可用时为热存储中的活动",
            ),
        ),
        frozenset({"busy"}),
    ),
    Operation(
        "get",
        "/v1/ops/campaigns/{campaign}",
        "show_campaign",
        "operators",
        "viewer",
        Words("A campaign for operators", "活动（运营）"),
        _shown("CampaignRow", Words("The campaign, its revision as ETag", "活动；版本号即 ETag"), _TAGGED),
        frozenset({"not_found", "busy"}),
    ),
    Operation(
        "put",
        "/v1/ops/campaigns/{campaign}",
        "put_campaign",
        "operators",
        "operator",
        Words("Put a campaign into force", "发布活动"),
        (
            Success(
                200,
                Words("In force, or the plan of a dry run", "已生效；试运行时为变更计划"),
                (Content(_JSON, {"oneOf": [schema("Applied"), schema("Plan")]}),),
                _TAGGED,
            ),
            Success(
                201, Words("In force for the first time", "首次生效"), (Content(_JSON, schema("Applied")),), _TAGGED
            ),
        ),
        frozenset({"busy", "precondition_failed", "act_refused", "act_incomplete"}),
        Words(
            "The id is that of the file. Lines in `mistakes` are those of the file.",
            "id 须与文件一致。mistakes 中的行号即文件行号。",
        ),
        sent=(
            Content(_JSON, _FILE, examples=CAMPAIGN_EXAMPLES),
            *(Content(media_type, text("A campaign file")) for media_type in sorted(YAML_TYPES)),
        ),
        parameters=("IfMatch",),
        query=(
            {
                "name": "dry_run",
                "in": "query",
                "description": "Say what would change and change nothing; empty, `0` and `false` mean no.",
                "schema": text(),
                "example": "1",
            },
            {
                "name": "reason",
                "in": "query",
                "description": "Stands in the audit trail; `apply` where it is missing.",
                "schema": text(maxLength=WORDS_LENGTH_MAX),
            },
        ),
    ),
    Operation(
        "get",
        _WAVE,
        "show_wave",
        "operators",
        "viewer",
        Words("A wave for operators", "批次（运营）"),
        _shown("WaveSeen", Words("From the hot store, else from the ledger", "取自热存储，否则取自账本")),
        frozenset({"unknown_wave", "busy", "recovering"}),
    ),
    Operation(
        "get",
        f"{_WAVE}/audit",
        "audit_wave",
        "operators",
        "viewer",
        Words("Audit a wave", "审计批次"),
        _shown("Verdict", Words("The verdict on the promises, from the stores", "根据存储得出的各项承诺审计结论")),
        frozenset({"unknown_wave", "busy", "recovering"}),
        Words(
            "One at a time in each process: it reads every claim of the campaign.",
            "每个进程同时只进行一项：需读取活动的全部领取。",
        ),
        has_head=False,
    ),
    Operation(
        "get",
        f"{_WAVE}/report",
        "report_wave",
        "operators",
        "viewer",
        Words("Report on a wave", "批次报告"),
        _shown("Report", Words("What was given out, and how much of it is settled", "发放情况及其落库程度")),
        frozenset({"unknown_wave", "busy"}),
        Words("From the ledger, at any time; no personal data.", "取自账本，随时可查；不含个人信息。"),
        has_head=False,
    ),
)

OPS_OPERATIONS: Final = (
    *_LOOKS,
    *(_act(*row) for row in _ACTS),
    *(_everywhere(*row) for row in _EVERYWHERE),
)

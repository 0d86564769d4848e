"""What anybody may ask: status pages, what a problem means, how a process is, this document."""

from typing import Final

from engine.gateway.answer import Words
from engine.gateway.openapi.operation import Content, Operation, Success
from engine.gateway.openapi.page_shapes import WAVE_EXAMPLE
from engine.gateway.openapi.shapes import schema, text
from engine.telemetry import METRICS_TYPE

_JSON: Final = "application/json"
_HTML: Final = "text/html"
_TAGGED: Final = ("Cache-Control", "ETag", "Left-Read-At-Ms")
_SAME: Final = Success(304, Words("The client has it already", "客户端已有最新内容"), (), _TAGGED)


def _page(shape: str, says: Words, example: object = None) -> tuple[Success, ...]:
    return Success(200, says, (Content(_JSON, schema(shape), example),), _TAGGED), _SAME


def _explained(shape: str) -> tuple[Success, ...]:
    return (
        Success(
            200,
            Words(
                "For a program, or for a person with a browser (`Accept: text/html`)",
                "供程序读取；浏览器（Accept: text/html）得到网页",
            ),
            (Content(_JSON, schema(shape)), Content(_HTML, text())),
            ("Cache-Control", "Content-Language", "Vary"),
            ("Content-Security-Policy", "Referrer-Policy"),
        ),
    )


PAGE_OPERATIONS: Final = (
    Operation(
        "get",
        "/v1/campaigns/{campaign}",
        "get_campaign",
        "pages",
        "anybody",
        Words("A campaign", "活动"),
        _page(
            "CampaignPage", Words("Rules, offers with their current terms, schedule", "规则、券及其当前条款、时间安排")
        ),
        frozenset({"not_found", "busy", "recovering"}),
        parameters=("IfNoneMatch",),
    ),
    Operation(
        "get",
        "/v1/waves",
        "list_waves",
        "pages",
        "anybody",
        Words("All waves", "全部批次"),
        _page(
            "WavesPage", Words("Every wave in the hot store, but those of sandboxes", "热存储中的全部批次（不含沙箱）")
        ),
        frozenset({"busy"}),
        parameters=("IfNoneMatch",),
    ),
    Operation(
        "get",
        "/v1/waves/{wave}",
        "get_wave",
        "pages",
        "anybody",
        Words("A wave", "批次"),
        _page("WavePage", Words("How it stands and what is left", "当前状态与余量"), WAVE_EXAMPLE),
        frozenset({"unknown_wave", "busy", "recovering"}),
        parameters=("IfNoneMatch",),
    ),
    Operation(
        "get",
        "/v1/time",
        "get_time",
        "pages",
        "anybody",
        Words("The clock that decides", "服务器时间"),
        (
            Success(
                200,
                Words("The hot store's clock as estimated here", "本进程估算的热存储时间"),
                (Content(_JSON, schema("Time"), {"server_time_ms": 1795291310000}),),
            ),
        ),
        frozenset({"recovering"}),
    ),
    Operation(
        "get",
        "/problems",
        "list_problems",
        "pages",
        "anybody",
        Words("All refusals", "全部错误码"),
        _explained("ProblemPages"),
    ),
    Operation(
        "get",
        "/problems/{slug}",
        "explain_problem",
        "pages",
        "anybody",
        Words("What a refusal means", "错误说明"),
        _explained("ProblemPage"),
        frozenset({"not_found"}),
    ),
    Operation(
        "get",
        "/healthz",
        "get_health",
        "process",
        "anybody",
        Words("Whether the process answers", "进程是否存活"),
        (Success(200, Words("It does", "存活"), (Content(_JSON, schema("Health"), {"status": "ok"}),)),),
    ),
    Operation(
        "get",
        "/readyz",
        "get_readiness",
        "process",
        "anybody",
        Words("Whether a claim would be decided here", "是否可以受理领取"),
        (
            Success(200, Words("It would", "可以受理"), (Content(_JSON, schema("Ready"), {"status": "ready"}),)),
            Success(
                503,
                Words("It would not, or the process is about to end", "不能受理，或进程即将退出"),
                (Content(_JSON, schema("NotReady"), {"status": "draining"}),),
            ),
        ),
    ),
    Operation(
        "get",
        "/metrics",
        "get_metrics",
        "process",
        "anybody",
        Words("Metrics", "监控指标"),
        (Success(200, Words("For Prometheus", "供 Prometheus 采集"), (Content(METRICS_TYPE.split(";")[0], text()),)),),
        more=Words("Not here where metrics have a port of their own.", "若为指标单独设置了端口，则此处不提供。"),
    ),
    Operation(
        "get",
        "/openapi.json",
        "get_openapi",
        "process",
        "anybody",
        Words("This document", "接口文档（OpenAPI）"),
        (
            Success(
                200,
                Words("OpenAPI 3.1", "OpenAPI 3.1"),
                (Content(_JSON, {"type": "object", "required": ["openapi", "info", "paths"]}),),
                _TAGGED,
            ),
            _SAME,
        ),
        parameters=("IfNoneMatch",),
    ),
    Operation(
        "get",
        "/docs",
        "show_docs",
        "process",
        "anybody",
        Words("This document as a page", "接口文档页面"),
        (
            Success(
                200,
                Words("For people, in Chinese or English", "供人阅读，中文或英文"),
                (Content(_HTML, text()),),
                (*_TAGGED, "Content-Language", "Content-Security-Policy", "Referrer-Policy", "Vary"),
            ),
            Success(
                304,
                Words("The client has it already", "客户端已有最新内容"),
                (),
                (*_TAGGED, "Content-Language", "Vary"),
            ),
        ),
        parameters=("IfNoneMatch",),
    ),
)

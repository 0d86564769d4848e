"""One thing that can be asked: a method and an address, what is sent, what can be answered."""

from typing import Any, Final, Literal

from msgspec import Struct

from engine.gateway.answer import Words
from engine.gateway.openapi.shapes import Shape

Method = Literal["get", "post", "put", "delete"]
Who = Literal["anybody", "user", "user_or_ticket", "merchant", "viewer", "operator"]
Chapter = Literal["claims", "cards", "shops", "pages", "operators", "process"]


NOTHING: Final = Words("", "")
CHAPTERS: Final[dict[Chapter, Words]] = {
    "claims": Words("Tickets, claims, and what a user holds", "领取凭证、领取与已领"),
    "cards": Words("The card pack", "卡包"),
    "shops": Words("Vouchers in shops", "门店用券"),
    "pages": Words("What everybody may see", "公开信息"),
    "operators": Words("Campaigns and waves in the operators' hands", "运营操作"),
    "process": Words("The gateway itself", "网关自身"),
}
NEEDS: Final[dict[Who, Words]] = {
    "anybody": NOTHING,
    "user": Words("The token's scope has to have `claim`.", "令牌权限须包含 claim。"),
    "user_or_ticket": Words(
        "The token's scope has to have `claim`; a ticket for the wave will do.",
        "令牌权限须包含 claim；也可使用该批次的领取凭证。",
    ),
    "merchant": Words(
        "The token's scope has to have `merchant`; its `stores` are those it can act for.",
        "令牌权限须包含 merchant；`stores` 为其可操作的门店。",
    ),
    "viewer": Words(
        "The token's scope has to have `ops`; the role may be `viewer` or `operator`.",
        "令牌权限须包含 ops，角色为 viewer 或 operator。",
    ),
    "operator": Words(
        "The token's scope has to have `ops`, and the role has to be `operator`.",
        "令牌权限须包含 ops，角色须为 operator。",
    ),
}
"""Who may ask, in words."""


class Content(Struct, frozen=True):
    """A body: its type, its shape, an example that is true."""

    media_type: str
    shape: Shape
    example: Any = None
    examples: dict[str, Any] | None = None
    """Several, by name, instead of one."""


class Success(Struct, frozen=True):
    """An answer that is no refusal. `headers` beside those that every answer has; `sometimes` those it may lack."""

    status: int
    says: Words
    contents: tuple[Content, ...] = ()
    headers: tuple[str, ...] = ("Cache-Control",)
    sometimes: tuple[str, ...] = ()


class Operation(Struct, frozen=True):
    """A row of the table of operations."""

    method: Method
    path: str
    id: str
    chapter: Chapter
    who: Who
    title: Words
    successes: tuple[Success, ...]
    refusals: frozenset[str] = frozenset()
    """Codes beside those that every operation, every body and every caller brings along."""
    more: Words = NOTHING
    sent: tuple[Content, ...] = ()
    parameters: tuple[str, ...] = ()
    """Names of shared parameters (`headers.PARAMETERS`) beside those of every operation."""
    query: tuple[dict[str, Any], ...] = ()
    has_head: bool = True
    """Of a GET: whether HEAD gives the same without the body."""

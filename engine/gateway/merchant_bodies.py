"""What tills send. Unknown fields are ignored; what stands in the answers of statements is bounded and clean."""

from typing import Annotated, Any, Final, TypeGuard

import msgspec
from msgspec import Meta, Struct

from engine.domain.redemption import AMOUNT_MAX, LINES_MAX, Line
from engine.domain.reversal import By
from engine.gateway.answer import Words
from engine.gateway.identity.caller import is_clean
from engine.gateway.json_objects import invalid, read_object
from engine.gateway.refusals import Problem

NUMBER_LENGTH_MAX: Final = 64
"""Characters of what a merchant calls an order, a payment, a request, a line, a clerk, a store."""

CODE_LENGTH_MAX: Final = 4 * NUMBER_LENGTH_MAX
"""Characters of what is typed for a code: more than `typed_code` looks at."""


class RedemptionBody(Struct, frozen=True):
    """A redemption as it was sent; `code` as it was typed, texts that may be missing are empty."""

    code: str
    store: str
    clerk: str
    order_no: str
    payment_no: str
    amount: int
    lines: tuple[Line, ...]
    request_no: str


_Code = Annotated[str, Meta(min_length=1, max_length=CODE_LENGTH_MAX)]
_Text = Annotated[str, Meta(min_length=1, max_length=NUMBER_LENGTH_MAX)]


class _PlainRedemption(Struct, frozen=True, forbid_unknown_fields=True):
    """A redemption as most tills send it: without lines, and nothing beside it."""

    code: _Code
    store: _Text
    clerk: _Text
    request_no: _Text
    amount: Any
    order_no: _Text = ""
    payment_no: _Text = ""


_PLAIN_COLONS: Final = 5
"""One for each member that has to be there."""
_plain: Final = msgspec.json.Decoder(_PlainRedemption).decode


class LockBody(Struct, frozen=True):
    """A lock as it was sent."""

    code: str
    store: str
    clerk: str
    order_no: str
    amount: int
    lines: tuple[Line, ...]
    hold_ms: int
    request_no: str


class ReleaseBody(Struct, frozen=True):
    """The end of a lock as it was sent."""

    clerk: str


class ReversalBody(Struct, frozen=True):
    """A reversal as it was sent; `amount` None: all that is left."""

    clerk: str
    by: By
    is_completed: bool
    amount: int | None
    request_no: str


def read_redemption_body(body: bytes) -> RedemptionBody | Problem:
    """What is to be redeemed, or `invalid_request` with what is wrong and where. Never raises."""
    plain = _plain_redemption(body)
    if plain is not None:
        return plain
    names = {"code": 1, "store": 1, "clerk": 1, "request_no": 1, "order_no": 0, "payment_no": 0}
    fields = read_object(body)
    order = fields if isinstance(fields, Problem) else _order_of(fields, names)
    return order if isinstance(order, Problem) else RedemptionBody(**order)


def _plain_redemption(body: bytes) -> RedemptionBody | None:
    """A body that is surely right, in a third of the time; None for any other, which is then read member by member."""
    try:
        sent = _plain(body)
    except (ValueError, RecursionError):
        return None
    # As many colons as members: none stands twice (`json_objects`).
    if body.count(b":") != _PLAIN_COLONS + bool(sent.order_no) + bool(sent.payment_no):
        return None
    texts = f"{sent.code}{sent.store}{sent.clerk}{sent.order_no}{sent.payment_no}{sent.request_no}"
    if not texts.isprintable() or not _is_amount(sent.amount):
        return None
    return RedemptionBody(
        sent.code, sent.store, sent.clerk, sent.order_no, sent.payment_no, sent.amount, (), sent.request_no
    )


def read_lock_body(body: bytes, hold_ms_max: int) -> LockBody | Problem:
    """What is to be held, for which order, how long; or `invalid_request`. Never raises."""
    names = {"code": 1, "store": 1, "clerk": 1, "request_no": 1, "order_no": 1}
    fields = read_object(body)
    if isinstance(fields, Problem):
        return fields
    order = _order_of(fields, names)
    if isinstance(order, Problem):
        return order
    hold_ms = fields.get("hold_ms")
    if type(hold_ms) is not int or not 1 <= hold_ms <= hold_ms_max:
        words = Words(f"hold_ms has to be 1 to {hold_ms_max} milliseconds", f"hold_ms 必须是 1 到 {hold_ms_max} 毫秒")
        return invalid("$.hold_ms", words)
    return LockBody(hold_ms=hold_ms, **order)


def read_release_body(body: bytes) -> ReleaseBody | Problem:
    """Who ends a lock; or `invalid_request`. Never raises."""
    fields = read_object(body)
    texts = fields if isinstance(fields, Problem) else _texts_of(fields, {"clerk": 1})
    return texts if isinstance(texts, Problem) else ReleaseBody(**texts)


def read_reversal_body(body: bytes) -> ReversalBody | Problem:
    """What is to be paid back, who wants it; or `invalid_request`. Never raises."""
    fields = read_object(body)
    if isinstance(fields, Problem):
        return fields
    texts = _texts_of(fields, {"clerk": 1, "request_no": 1})
    if isinstance(texts, Problem):
        return texts
    by, is_completed, amount = fields.get("by"), fields.get("completed"), fields.get("amount")
    if by not in ("merchant", "user"):
        return invalid(
            "$.by", Words("by has to be merchant or user: who wants it", "by 必须是 merchant 或 user：退款发起方")
        )
    if not isinstance(is_completed, bool):
        words = Words("completed has to be true or false: the order", "completed 必须是 true 或 false：订单是否已完成")
        return invalid("$.completed", words)
    if amount is not None and (not _is_amount(amount) or amount == 0):
        return _bad_amount("$.amount", "amount", least=1)
    return ReversalBody(
        by="merchant" if by == "merchant" else "user", is_completed=is_completed, amount=amount, **texts
    )


def _order_of(fields: dict[str, Any], names: dict[str, int]) -> dict[str, Any] | Problem:
    """The texts of these names, `amount` and `lines`."""
    texts = _texts_of(fields, names)
    if isinstance(texts, Problem):
        return texts
    amount = amount_of(fields)
    if isinstance(amount, Problem):
        return amount
    lines = lines_of(fields, amount)
    return lines if isinstance(lines, Problem) else {"amount": amount, "lines": lines, **texts}


def _texts_of(fields: dict[str, Any], names: dict[str, int]) -> dict[str, str] | Problem:
    """The texts of these names, each with the characters that it has at least."""
    texts: dict[str, str] = {}
    for name, least in names.items():
        text = text_of(fields, name, least, CODE_LENGTH_MAX if name == "code" else NUMBER_LENGTH_MAX)
        if isinstance(text, Problem):
            return text
        texts[name] = text
    return texts


def text_of(fields: dict[str, Any], name: str, least: int, length_max: int = NUMBER_LENGTH_MAX) -> str | Problem:
    """A text of the body; one that may be missing is empty then. Around a code there may be what scanners send with it:
    Enter, a tab."""
    text = fields.get(name)
    if text is None and not least:
        return ""
    if name == "code" and isinstance(text, str):
        text = text.strip("\t\r\n")
    if not isinstance(text, str) or not is_clean(text, length_max) or len(text) < least:
        return invalid(
            f"$.{name}",
            Words(
                f"{name} has to be a string of {least} to {length_max} characters without control characters",
                f"{name} 必须是 {least} 到 {length_max} 个字符的字符串，且不含控制字符",
            ),
        )
    return text


def amount_of(fields: dict[str, Any]) -> int | Problem:
    """What is due, of the body."""
    amount = fields.get("amount")
    return amount if _is_amount(amount) else _bad_amount("$.amount", "amount")


def _is_amount(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= AMOUNT_MAX


def _bad_amount(at: str, name: str, least: int = 0) -> Problem:
    return invalid(
        at,
        Words(
            f"{name} has to be a whole number of minor units, from {least} to {AMOUNT_MAX}",
            f"{name} 必须是 {least} 到 {AMOUNT_MAX} 的整数（最小货币单位）",
        ),
    )


def lines_of(fields: dict[str, Any], amount: int) -> tuple[Line, ...] | Problem:
    """The lines of the order, which add up to that amount; none where there are none."""
    value = fields.get("lines")
    if value is None:
        return ()
    if not isinstance(value, list) or not 1 <= len(value) <= LINES_MAX:
        return invalid(
            "$.lines",
            Words(f"lines has to be a list of 1 to {LINES_MAX} objects", f"lines 必须是 1 到 {LINES_MAX} 个对象的列表"),
        )
    lines = []
    for place, each in enumerate(value):
        if not isinstance(each, dict) or not _is_amount(each.get("amount")):
            return _bad_amount(f"$.lines[{place}].amount", "amount")
        name = text_of(each, "id", 0)
        if isinstance(name, Problem):
            return invalid(f"$.lines[{place}].id", name.detail or Words("", ""))
        lines.append(Line(each["amount"], name))
    if sum(line.amount for line in lines) != amount:
        return invalid("$.lines", Words("the lines have to add up to amount", "各行之和必须等于 amount"))
    return tuple(lines)

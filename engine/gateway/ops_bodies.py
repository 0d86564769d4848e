"""What operators send: the body of an act, and a campaign with the lists that it names."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.gateway.answer import Words
from engine.gateway.bodies import check_media_type
from engine.gateway.json_objects import invalid, read_object
from engine.gateway.refusals import Problem

YAML_TYPES: Final = frozenset({"application/yaml", "application/x-yaml", "text/yaml"})
_SURROGATES: Final = re.compile(r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_decode: Final = msgspec.json.Decoder().decode


class SentCampaign(Struct, frozen=True):
    """The text of a campaign file, and the lists of accounts that came with it, by name."""

    text: str
    lists: Mapping[str, bytes]


class ActBody(Struct, frozen=True):
    """Why an act is done, and what the act needs beside that."""

    reason: str
    fields: Mapping[str, Any]

    def text(self, name: str) -> str | Problem | None:
        """A text that may be missing."""
        value = self.fields.get(name)
        if value is None or isinstance(value, str):
            return value
        return invalid(f"$.{name}", Words(f"{name} has to be a string", f"{name} 必须是字符串"))

    def stock(self) -> Mapping[str, int] | Problem:
        """Offers with their totals."""
        stock = self.fields.get("stock")
        if isinstance(stock, dict) and all(type(total) is int for total in stock.values()):
            return stock
        return invalid(
            "$.stock",
            Words(
                'stock has to be an object of offers with whole numbers: {"mall-50": 1500}',
                'stock 必须是由券及其整数总量组成的对象：{"mall-50": 1500}',
            ),
        )


def read_act_body(body: bytes) -> ActBody | Problem:
    """The body of an act; `reason` is always needed."""
    fields = read_object(body)
    if isinstance(fields, Problem):
        return fields
    reason = fields.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        return invalid("$.reason", Words("reason is missing: say why", "缺少 reason：请说明原因"))
    return ActBody(reason, fields)


def check_campaign_type(content_type: str, content_encoding: str) -> Problem | None:
    """The problem with how a campaign is sent, if there is one: YAML is taken beside JSON."""
    if _is_yaml(content_type):
        return check_media_type(";".join(["application/json", *content_type.split(";")[1:]]), content_encoding)
    return check_media_type(content_type, content_encoding)


def read_campaign_body(content_type: str, body: bytes) -> SentCampaign | Problem:
    """A campaign file as YAML or JSON, or as `{"file": text, "lists": {name: text, or list of accounts}}`."""
    if _is_yaml(content_type):
        return _text(body, {})
    fields = read_object(body, may_repeat_keys=True)
    if isinstance(fields, Problem):
        return fields
    if "file" not in fields:  # the campaign itself: JSON is YAML, so its mistakes have lines too, also a key twice
        return _text(_SURROGATES.sub(_joined, body.decode()).encode(), {})
    fields = read_object(body)
    if isinstance(fields, Problem):
        return fields
    if not isinstance(fields["file"], str):
        return invalid("$.file", Words("file has to be the text of a campaign file", "file 必须是活动文件的文本"))
    lists = _lists(fields.get("lists", {}))
    return lists if isinstance(lists, Problem) else SentCampaign(fields["file"], lists)


def _is_yaml(content_type: str) -> bool:
    return content_type.split(";")[0].strip().lower() in YAML_TYPES


def _text(body: bytes, lists: Mapping[str, bytes]) -> SentCampaign | Problem:
    try:
        return SentCampaign(body.decode(), lists)
    except UnicodeDecodeError:
        return invalid("body", Words("the file is not UTF-8", "文件不是 UTF-8 编码"))


def _joined(match: re.Match[str]) -> str:
    """One character for the two halves in which JSON writes it: YAML does not put them together."""
    text = match[0]
    return text if text == r"\\" else str(_decode(f'"{text}"'))


def _lists(lists: object) -> dict[str, bytes] | Problem:
    words = Words(
        "lists has to be an object of names with a text (one account a line) or a list of accounts",
        "lists 必须是对象：名称对应文本（每行一个账号）或账号列表",
    )
    if not isinstance(lists, dict):
        return invalid("$.lists", words)
    found: dict[str, bytes] = {}
    for name, content in lists.items():
        if isinstance(content, str):
            found[name] = content.encode()
        elif isinstance(content, list) and all(isinstance(account, str) for account in content):
            found[name] = "\n".join(content).encode()
        else:
            return invalid("$.lists", words)
    return found

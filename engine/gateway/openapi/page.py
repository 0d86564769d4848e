"""The document as a page for people: one file without scripts, pictures or fonts, so that it works offline and under a
policy that lets nothing in. Everything that can be asked is folded up, and opens with a click.
"""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any, Final

from engine.gateway.answer import Headers, Language, Words
from engine.gateway.openapi.operation import CHAPTERS, NEEDS, Operation, Success
from engine.gateway.openapi.operations import OPERATIONS, refusals_of
from engine.gateway.openapi.shape_words import kind_of, rows_of
from engine.gateway.problem_kind import ProblemKind
from engine.gateway.problems import KINDS
from engine.gateway.web_pages import page_headers, web_page

Document = dict[str, Any]

_FOLDER: Final = Path(__file__).parent
_CONTENT: Final = Template((_FOLDER / "page.html").read_text("utf-8"))
_STYLE: Final = (_FOLDER / "page.css").read_text("utf-8")
PAGE: Final[Headers] = page_headers(_STYLE)
_LABELS: Final = {
    "about": Words(
        "Limited vouchers, handed out at an announced second. What can be asked over HTTP, and every answer to it.",
        "限量消费券，准点开抢。本页列出全部 HTTP 接口及其所有响应。",
    ),
    "machine": Words("For programs:", "供程序使用："),
    "send": Words("Send", "请求体"),
    "parameters": Words("Parameters", "参数"),
    "answers": Words("Answers", "响应"),
    "refusals": Words("Refusals", "错误码"),
    "order": Words("Refusals, in the order in which they are looked at", "错误码（按判断顺序）"),
    "shapes": Words("Shapes", "数据结构"),
    "code": Words("code", "错误码"),
    "instant": Words("until the instant that it names, and", "至所示时刻，另加"),
    "status": Words("status", "状态码"),
    "means": Words("means", "含义"),
    "pause": Words("come back after", "重试间隔"),
    "final": Words("asking again does not help", "重试无效"),
    "optional": Words("may be missing", "可缺省"),
    "or": Words("or", "或"),
}


def print_page(document: Document, language: Language) -> bytes:
    """The whole page, to be sent under the headers PAGE."""
    content = _CONTENT.substitute(
        version=_text(document["info"]["version"]),
        about=_LABELS["about"].say(language),
        machine=_LABELS["machine"].say(language),
        contents="".join(_contents(language)),
        chapters="".join(_chapter(name, document, language) for name in CHAPTERS),
        refusals_title=_LABELS["order"].say(language),
        refusals="".join(_refusals(language)),
        shapes_title=_LABELS["shapes"].say(language),
        shapes="".join(_shapes(document, language)),
    )
    return web_page(language, "Dropwave HTTP", content, _STYLE)


def _contents(language: Language) -> Iterator[str]:
    for name, title in CHAPTERS.items():
        yield f'<a href="#{name}">{_text(title.say(language))}</a>'
    yield f'<a href="#refusals">{_LABELS["refusals"].say(language)}</a>'
    yield f'<a href="#shapes">{_LABELS["shapes"].say(language)}</a>'


def _chapter(name: str, document: Document, language: Language) -> str:
    title = next(title for chapter, title in CHAPTERS.items() if chapter == name)
    operations = "".join(
        _operation(operation, document, language) for operation in OPERATIONS if operation.chapter == name
    )
    return f'<section><h2 id="{name}">{_text(title.say(language))}</h2>{operations}</section>'


def _operation(operation: Operation, document: Document, language: Language) -> str:
    method = operation.method.upper()
    says = ("" if language == "zh" else " ").join(
        words.say(language) for words in (operation.more, NEEDS[operation.who]) if words.en
    )
    item = document["paths"][operation.path][operation.method]
    return (
        f'<details id="{operation.id}"><summary><b class="{operation.method}">{method}</b> '
        f"<code>{_path(operation.path)}</code> <span>{_text(operation.title.say(language))}</span></summary>"
        f"{_paragraph(says)}{_parameters(item, document, language)}{_sent(operation, language)}"
        f"<h3>{_LABELS['answers'].say(language)}</h3><table>{''.join(_answers(operation, language))}</table></details>"
    )


def _parameters(item: Document, document: Document, language: Language) -> str:
    found = [_resolved(parameter, document) for parameter in item.get("parameters", [])]
    if not found:
        return ""
    rows = "".join(
        f"<tr><td><code>{parameter['name']}</code><td>{_text(parameter['in'])}<td>{_text(parameter['description'])}"
        for parameter in found
    )
    return f"<h3>{_LABELS['parameters'].say(language)}</h3><table>{rows}</table>"


def _sent(operation: Operation, language: Language) -> str:
    if not operation.sent:
        return ""
    parts = [
        f"<p><code>{content.media_type}</code> {_kind(content.shape, language)}</p>{_example(content.example)}"
        + "".join(_example(example["value"]) for example in (content.examples or {}).values())
        for content in operation.sent
    ]
    return f"<h3>{_LABELS['send'].say(language)}</h3>{''.join(parts)}"


def _answers(operation: Operation, language: Language) -> Iterator[str]:
    answers: dict[int, list[str]] = {}
    for success in operation.successes:
        answers.setdefault(success.status, []).append(_success(success, language))
    for status, codes in refusals_of(operation).items():
        links = ", ".join(f'<a href="#code-{code}">{_name(code)}</a>' for code in codes)
        answers.setdefault(status, []).append(links)
    for status in sorted(answers):
        yield f"<tr><td><b>{status}</b><td>{' '.join(answers[status])}"


def _success(success: Success, language: Language) -> str:
    kinds = ", ".join(
        _kind(content.shape, language) if "json" in content.media_type else f"<code>{content.media_type}</code>"
        for content in success.contents
    )
    examples = "".join(_example(content.example) for content in success.contents)
    return f"{_text(success.says.say(language))} {kinds}{examples}"


def _refusals(language: Language) -> Iterator[str]:
    heads = (_LABELS[name].say(language) for name in ("code", "status", "means", "pause"))
    yield "<tr>" + "".join(f"<th>{head}" for head in heads)
    for code, kind in KINDS.items():
        yield (
            f'<tr id="code-{code}"><td><a href="/problems/{kind.slug}">{_name(code)}</a><td>{kind.status}'
            f"<td>{_text(kind.title.say(language))}<td>{_pause(kind, language)}"
        )


def _pause(kind: ProblemKind, language: Language) -> str:
    if kind.retry is None:
        return _LABELS["final"].say(language)
    then = "" if kind.retry.at_least_ms else f"{_LABELS['instant'].say(language)} "
    return f"{then}{kind.retry.at_least_ms}–{kind.retry.at_least_ms + kind.retry.jitter_ms} ms"


def _shapes(document: Document, language: Language) -> Iterator[str]:
    for name, shape in document["components"]["schemas"].items():
        if name.endswith("Problem"):
            continue  # their members are told by the pages of the problems
        rows = "".join(
            f"<tr><td>{_name(member)}{'' if required else ' <i>' + _LABELS['optional'].say(language) + '</i>'}"
            f"<td>{_kind(each, language)}<td>{_text(each.get('description', ''))}"
            for member, each, required in rows_of(shape)
        )
        what = f"<table>{rows}</table>" if rows else f"<p>{_kind(shape, language)}</p>"
        says = _paragraph(shape.get("description", ""))
        yield f'<details id="shape-{name}"><summary><code>{name}</code></summary>{says}{what}</details>'


def _kind(shape: Document, language: Language) -> str:
    def link(name: str) -> str:
        return f'<a href="#shape-{name}">{name}</a>'

    return kind_of(shape, link, _LABELS["or"].say(language))


def _example(example: object) -> str:
    if example is None:
        return ""
    return f"<pre>{html.escape(json.dumps(example, ensure_ascii=False, indent=2), quote=False)}</pre>"


def _resolved(parameter: Document, document: Document) -> Document:
    if "$ref" not in parameter:
        return parameter
    found: Document = document["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
    return found


def _path(path: str) -> str:
    """The path with its parameters set off, and places at which a narrow screen may break it."""
    return re.sub(r"(\{\w+\})", r"<i>\1</i>", path).replace("/", "/<wbr>").replace("</<wbr>", "</")


def _name(name: str) -> str:
    """A name of the contract, which a narrow screen may break behind its words."""
    return f"<code>{name.replace('_', '_<wbr>')}</code>"


def _paragraph(text: str) -> str:
    return f"<p>{_text(text)}</p>" if text else ""


def _text(text: str) -> str:
    """Safe for HTML; what stands between backticks is code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", html.escape(text, quote=False))

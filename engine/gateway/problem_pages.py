"""`GET /problems/{slug}` and `GET /problems`: what a problem's `type` leads to, for a program or for a person with a
browser, and all of them in the order in which they are looked at.
"""

import html
import re
from typing import Any, Final

import msgspec

from engine.gateway.answer import JSON, Answer, Headers, Heading, Language, Words
from engine.gateway.language import choose
from engine.gateway.problem_kind import ProblemKind, Retry
from engine.gateway.problems import BY_SLUG, KINDS
from engine.gateway.refusals import Problem, refuse
from engine.gateway.web_pages import LANGUAGE_TAGS, WEB_PAGE, web_page

_encode: Final = msgspec.json.Encoder().encode
_AGAIN: Final = Words("Asking again later can help.", "稍后重试可能成功。")
_NOT_AGAIN: Final = Words("Asking again, the same way, does not help.", "原样重试没有帮助。")
_ALL: Final = Words("All refusals", "全部拒绝原因")
_ORDER: Final = Words(
    "Whoever is refused is told the first of these reasons that applies.",
    "请求被拒绝时，返回以下原因中最先适用的一个。",
)
_CODE: Final = re.compile("`([^`]+)`")


def problem_page(slug: str, heading: Heading) -> Answer:
    """The page of that problem, in the caller's language; HTML where that is asked for, else JSON."""
    kind = BY_SLUG.get(slug)
    if kind is None:
        return refuse(Problem("not_found"), heading.accept_language)
    language = choose(heading.accept_language)
    if _wants_html(heading):
        return Answer(200, "ok", WEB_PAGE + _headers(language), _page(kind, language))
    return Answer(200, "ok", JSON + _headers(language), _encode(_members(kind, language)))


def problem_index(heading: Heading) -> Answer:
    """All problems, as `problem_page` shows each."""
    language = choose(heading.accept_language)
    if _wants_html(heading):
        return Answer(200, "ok", WEB_PAGE + _headers(language), _index(language))
    body = {"problems": [_members(kind, language) for kind in KINDS.values()]}
    return Answer(200, "ok", JSON + _headers(language), _encode(body))


def _wants_html(heading: Heading) -> bool:
    return "text/html" in heading.accept


def _headers(language: Language) -> Headers:
    return (
        ("Cache-Control", "public, max-age=3600"),
        ("Content-Language", language),
        ("Vary", "Accept, Accept-Language"),
    )


def _members(kind: ProblemKind, language: Language) -> dict[str, Any]:
    return {
        "type": f"/problems/{kind.slug}",
        "title": kind.title.say(language),
        "status": kind.status,
        "code": kind.code,
        "final": kind.final,
        "explanation": kind.more.say(language),
    }


def _page(kind: ProblemKind, language: Language) -> bytes:
    """Both languages: who reads it may not be who set up the browser."""
    other: Language = "en" if language == "zh" else "zh"
    title = html.escape(kind.title.say(language))
    content = (
        f'<p class="faint"><code>{kind.code}</code> · HTTP {kind.status}</p>\n<h1>{title}</h1>\n'
        f"<p>{_marked(kind.more.say(language))}</p>\n<p>{_again(kind, language)}</p>\n"
        f'<section class="other" lang="{LANGUAGE_TAGS[other]}"><h2>{html.escape(kind.title.say(other))}</h2>\n'
        f"<p>{_marked(kind.more.say(other))}</p>\n<p>{_again(kind, other)}</p></section>\n"
        f'<nav><a href="/problems">{_ALL.say(language)}</a></nav>'
    )
    return web_page(language, title, content)


def _index(language: Language) -> bytes:
    items = "\n".join(
        f'<li><a href="/problems/{kind.slug}"><b>{html.escape(kind.title.say(language))}</b>'
        f'<p class="faint"><code>{kind.code}</code> · HTTP {kind.status}</p></a></li>'
        for kind in KINDS.values()
    )
    title = _ALL.say(language)
    return web_page(language, title, f"<h1>{title}</h1>\n<p>{_ORDER.say(language)}</p>\n<ol>\n{items}\n</ol>")


def _again(kind: ProblemKind, language: Language) -> str:
    if kind.retry is None:
        return _NOT_AGAIN.say(language)
    return _AGAIN.say(language) + _pause(kind.retry).say(language)


def _pause(retry: Retry) -> Words:
    """How long to wait; nothing where the answer alone knows it."""
    if not retry.at_least_ms:
        return Words("", "")
    least, most = (f"{ms / 1000:g}" for ms in (retry.at_least_ms, retry.at_least_ms + retry.jitter_ms))
    return Words(
        f" <code>retry_after_ms</code> says when: after {least} to {most} seconds.",
        f"等待时间见 <code>retry_after_ms</code>：{least} 至 {most} 秒。",
    )


def _marked(text: str) -> str:
    """A sentence as HTML, with what stands between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", html.escape(text, quote=False))

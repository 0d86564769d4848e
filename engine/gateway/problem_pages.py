"""`GET /problems/{slug}`: what a problem's `type` leads to, for a program or for a person with a browser."""

import html
from typing import Final

import msgspec

from engine.gateway.answer import HTML, JSON, Answer, Headers, Heading, Language
from engine.gateway.language import choose
from engine.gateway.problems import BY_SLUG, ProblemKind
from engine.gateway.refusals import Problem, refuse

_encode: Final = msgspec.json.Encoder().encode
_FINAL: Final = {
    ("en", True): "Asking again, the same way, does not help.",
    ("en", False): "Asking again later can help.",
    ("zh", True): "原样重试没有帮助。",
    ("zh", False): "稍后重试可能成功。",
}
_PAGE: Final = """<!doctype html>
<html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body{{font:1.1rem/1.6 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}}</style>
<h1>{title}</h1><p>{more}</p><p>{final}</p><p><code>{code}</code> · HTTP {status}</p></html>
"""


def problem_page(slug: str, heading: Heading) -> Answer:
    """The page of that problem, in the caller's language; HTML where that is asked for, else JSON."""
    kind = BY_SLUG.get(slug)
    if kind is None:
        return refuse(Problem("not_found"), heading.accept_language)
    language = choose(heading.accept_language)
    common: Headers = (
        ("Cache-Control", "public, max-age=3600"),
        ("Content-Language", language),
        ("Vary", "Accept, Accept-Language"),
    )
    if "text/html" in heading.accept:
        return Answer(200, "ok", HTML + common, _html(kind, language))
    body = {
        "type": f"/problems/{kind.slug}",
        "title": kind.title.say(language),
        "status": kind.status,
        "code": kind.code,
        "final": kind.final,
        "explanation": kind.more.say(language),
    }
    return Answer(200, "ok", JSON + common, _encode(body))


def _html(kind: ProblemKind, language: Language) -> bytes:
    text = _PAGE.format(
        language=language,
        title=html.escape(kind.title.say(language)),
        more=html.escape(kind.more.say(language)),
        final=_FINAL[language, kind.final],
        code=kind.code,
        status=kind.status,
    )
    return text.encode()

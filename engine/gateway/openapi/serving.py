"""`GET /openapi.json` and `GET /docs`: the contract for programs and for people."""

from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from engine.gateway.answer import BARE, JSON, Answer, Headers, Heading, Language
from engine.gateway.etags import has, tag_of
from engine.gateway.language import choose
from engine.gateway.openapi.document import build_document
from engine.gateway.openapi.page import PAGE, print_page

_CACHED: Final[Headers] = (("Cache-Control", "public, max-age=300"),)
"""It changes with the program only; five minutes after an upgrade everybody has the new one."""
_encode: Final = msgspec.json.Encoder().encode


class _Kept(Struct, frozen=True):
    """A text that stays as it is while this process runs, and its tag."""

    body: bytes
    tag: str


def openapi_json(heading: Heading) -> Answer:
    """The document."""
    return _answer(_document(), JSON, (), heading)


def docs_page(heading: Heading) -> Answer:
    """The document as a page, in the caller's language."""
    language = choose(heading.accept_language)
    varies: Headers = (("Content-Language", language), ("Vary", "Accept-Language"))
    return _answer(_page(language), PAGE, varies, heading)


def _answer(kept: _Kept, kind: Headers, more: Headers, heading: Heading) -> Answer:
    headers = (*_CACHED, *more, ("ETag", kept.tag))
    if has(heading.if_none_match, kept.tag):
        return Answer(304, "not_modified", BARE + headers)
    return Answer(200, "ok", kind + headers, kept.body)


@lru_cache(maxsize=1)
def _document() -> _Kept:
    body = _encode(build_document())
    return _Kept(body, tag_of(body))


@lru_cache(maxsize=2)  # one for each language
def _page(language: Language) -> _Kept:
    body = print_page(build_document(), language)
    return _Kept(body, tag_of(body))

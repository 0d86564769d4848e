"""Hides what must not stand in a log: tokens, tickets, voucher codes, persons, passwords, keys.

Two nets, one behind the other. Values under a telling key are hidden whatever they are. In every other text, which
may be the message of an exception that quotes a statement's arguments, whatever has the form of a secret is hidden.
When in doubt it is hidden: a log that is missing an id is a nuisance, one that holds a voucher is money.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from structlog.typing import EventDict, WrappedLogger

HIDDEN: Final = "[hidden]"
_WORDS: Final = (
    *("authorization", "cookie", "credentials", "password", "passwd", "secret", "api_key", "jwt"),
    *("token", "ticket", "code", "voucher", "claimant", "person"),
)
_KEYS: Final = frozenset(
    {*_WORDS, *(f"{word}s" for word in _WORDS), "body", "tags", "secret_previous", "jwt_secret_previous"}
)
_ENDINGS: Final = tuple(f"_{word}{plural}" for word in _WORDS for plural in ("", "s"))
_DEPTH_MAX: Final = 6
"""Events are flat; what lies deeper is shown as text, and searched as such."""

_TEXT_MAX: Final = 32_768
"""A traceback with its causes has some 10,000 characters."""

_NAME: Final = rf"(?:[\w-]{{1,60}}[_-])?(?:{'|'.join(word.replace('_', '[_-]') for word in _WORDS)})s?"
_START: Final = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtvf])|(?<=%[0-9A-Fa-f]{2})|(?<=\\x[0-9a-f]{2}))"
"""Where a secret may begin: not within a word, but right behind `\\n` or `\\t` as `repr` writes them, and `%20`."""
_CODE: Final = r"[0-9A-TV-Za-tv-z０-９Ａ-ＴＶ-Ｚａ-ｔｖ-ｚ]"
_GAP: Final = r"(?:\ ?[-\u2010-\u2015\u2212]\ ?|\ )"

_SECRETS: Final = re.compile(
    rf"""
      -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?P<url> [a-z][a-z0-9+.-]{{0,30}} :// [^\s/:@]{{0,128}} : ) \S{{1,256}} (?=@)     # a password in an address
    | (?P<scheme> \b (?:bearer|ticket|basic) (?:\s|%20|\+)+ ) [^\s'",;)}}\]]+        # the value of a header
    | {_START} eyJ[\w-]+ (?:\.[\w-]*)*                                       # a JWT, whole or cut
    | {_START} 1 [\w-]{{44,}}                                                # a ticket: the shortest has 49 characters
    | (?P<name> (?<![\w-]) {_NAME} ["']? \s* (?:=|:|%3[Dd]) \s* )             # a telling name, and its value
        (?: b?'(?:\\.|[^'\\])*' | b?"(?:\\.|[^"\\])*" | \[[^\]]* | \([^)]* | [^\s,;&"'\]\)}}]+ )
    | (?P<quoted> query\ argument\ \$\d+ | with\ args\ beginning\ with: | Failing\ row\ contains
        | invalid\ input\ (?:syntax|value)\ for\ [^:\n]{{1,200}}: | value\ out\ of\ range: | malformed\ \w+\ literal:
        | COPY\ \w+,\ line\ \d+ ) [^\n]*                                     # Postgres and Redis repeat what they got
    | (?P<key> Key\ \([^)]{{0,2100}}\)= ) [^\n]*                             # at most 32 columns, of 63 characters each
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_CODES: Final = re.compile(
    rf"""
      {_START} {_CODE}{{16}} (?![A-Za-z0-9])
    | (?:(?<![\w-])|(?<=\\[nrtvf])|(?<=%[0-9A-Fa-f]{{2}}))
        (?: {_CODE}{{4}}(?:{_GAP}{_CODE}{{4}}){{3}} | {_CODE}{{8}}{_GAP}{_CODE}{{8}}
          | {_CODE}{{3}}{_GAP}{_CODE}{{12}}{_GAP}{_CODE} | {_CODE}{{2}}(?:{_GAP}{_CODE}{{2}}){{7}} ) (?![\w-])
    """,
    re.VERBOSE,
)
"""Voucher codes (`domain.codes`) as printed, in lower case, and as people type them (`codes.typed_code`): in groups,
wide, O for 0. Case matters to the escapes before them, which is why this pattern stands by itself."""


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The last processor but the renderer: hides values by their key, and secrets inside any text."""
    return {key: _value_of(key, value, _DEPTH_MAX) for key, value in event.items()}


def hide_secrets(text: str) -> str:
    """The text without whatever has the form of a secret; cut where it is longer than any line should be."""
    if len(text) > _TEXT_MAX:
        text = text[:_TEXT_MAX] + "…"
    return _CODES.sub(HIDDEN, _SECRETS.sub(_hide, text))


def _value_of(key: Any, value: Any, depth: int) -> Any:
    name = str(key).lower().replace("-", "_")
    if name in _KEYS:
        return HIDDEN
    if name.endswith(_ENDINGS) and not isinstance(value, bool | int | float | None):
        return HIDDEN  # a number under such a name is a count, a status
    return _clean(value, depth)


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if depth and isinstance(value, Mapping):
        return {hide_secrets(str(key)): _value_of(key, inner, depth - 1) for key, inner in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner, depth - 1) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode("utf-8", "backslashreplace")
    return hide_secrets(str(value))


def _hide(found: re.Match[str]) -> str:
    kept = found["url"] or found["scheme"] or found["name"] or found["key"]
    return f"{kept}{HIDDEN}" if kept else f"{found['quoted']} {HIDDEN}" if found["quoted"] else HIDDEN

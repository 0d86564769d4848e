"""Which language an answer's sentences are in: `Accept-Language` (RFC 9110, 12.5.4) against zh and en.

English is given where the header is missing or names only other languages. Of two that are wanted alike the first is
given: many clients write no weights, and mean the order.
"""

import re
from functools import lru_cache
from typing import Final

from engine.gateway.answer import Language

DEFAULT: Final[Language] = "en"
_LENGTH_MAX: Final = 256
"""Browsers send some 40 characters; a longer header is not read."""
_RANGE = re.compile(
    r"\s*(?P<tag>\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*[qQ]\s*=\s*(?P<q>0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)


def choose(accept_language: str) -> Language:
    """The language for this header. Parts that are not well-formed are passed over."""
    if not accept_language or len(accept_language) > _LENGTH_MAX:
        return DEFAULT
    return _choose(accept_language)


@lru_cache(maxsize=256)  # a crowd's phones send a few dozen different headers
def _choose(accept_language: str) -> Language:
    wishes: dict[str, float] = {}
    for part in accept_language.split(","):
        match = _RANGE.fullmatch(part)
        if match:
            language = match["tag"].split("-")[0].lower()
            quality = 1.0 if match["q"] is None else float(match["q"])
            wishes[language] = max(quality, wishes.get(language, 0.0))
    others = wishes.get("*", 0.0)
    chinese, english = wishes.get("zh", others), wishes.get("en", others)
    if chinese == english > 0 and next(iter(wishes)) == "zh":
        return "zh"
    return "zh" if chinese > english else DEFAULT

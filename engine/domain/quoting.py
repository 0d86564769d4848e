"""What somebody sent, fit to be repeated in a sentence: a message neither grows with it nor is broken by it."""

from typing import Final

CHARACTERS_MAX: Final = 48
"""Enough to recognise a name or a time by."""


def presentable(text: str, characters_max: int = CHARACTERS_MAX) -> str:
    """The text, cut to that many characters, with a mark in the place of each that cannot be printed."""
    cut = text if len(text) <= characters_max else text[: characters_max - 1] + "…"
    # Neither does a terminal obey what is in a log or an answer, nor is a lone surrogate left that UTF-8 cannot write.
    return cut if cut.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in cut)

"""Everything that is wrong with one campaign file, so that an operator is told once and not mistake by mistake."""

import difflib
from collections.abc import Collection

from engine.domain.quoting import CHARACTERS_MAX, presentable
from engine.errors import CampaignFileError, Mistake

MISTAKES_SHOWN_MAX = 200
"""A person mends a file screen by screen; a file of another format altogether would fill thousands of lines."""

COMPARISONS_MAX = 100_000
"""Words compared while looking for the nearest known one: some two seconds. A file full of unknown names is told
about the rest without a suggestion."""


class Mistakes:
    """The mistakes of one file, noted in any order, told in the order of the file."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._noted: list[Mistake] = []
        self._comparisons_left = COMPARISONS_MAX

    def note(self, line: int, path: str, what: str) -> None:
        """Remember one. `line` counts from 1; `what` says what is wrong and what would be right."""
        self._noted.append(Mistake(line, path, what))

    def nearest(self, word: str, known: Collection[str]) -> str:
        """`: did you mean x?` for the known word nearest to `word`, or nothing where none is near."""
        if len(known) > self._comparisons_left:
            return ""
        self._comparisons_left -= len(known)
        near = difflib.get_close_matches(word[:CHARACTERS_MAX], known, n=1)
        return f": did you mean {near[0]}?" if near else ""

    def refuse(self) -> CampaignFileError:
        """The error that tells all of them; the same mistake noted twice is told once."""
        told = sorted(dict.fromkeys(self._noted), key=lambda mistake: mistake.line)
        if len(told) > MISTAKES_SHOWN_MAX:
            more = len(told) - MISTAKES_SHOWN_MAX
            told = [*told[:MISTAKES_SHOWN_MAX], Mistake(0, "", f"and {more:,} more")]
        return CampaignFileError(self._source, told)

    def refuse_if_any(self) -> None:
        """Raise CampaignFileError where something was noted."""
        if self._noted:
            raise self.refuse()


def shown(text: str) -> str:
    """What the file says, fit to be repeated in a message: in quotes, cut, with nothing unprintable in it."""
    return f'"{presentable(text)}"'

"""A value of the file together with its path, and the questions that the format asks of it.

Every question answers None where the value is not what the format wants; what is wrong has then been
noted. So one pass over a file finds everything, and nobody checks twice.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from engine.scheduling.mistakes import Mistakes, shown
from engine.scheduling.reading import Mapping as MappingNode
from engine.scheduling.reading import Node, Scalar, Sequence, key_path
from engine.scheduling.times import NotATime

ID_CHARACTERS_MAX = 64
"""Ids of campaigns, waves, offers and stores stand in URLs and in keys of Redis."""
LABEL_CHARACTERS_MAX = 64
AMOUNT_MAX = 1_000_000_000_000
"""Minor units. Ten billion yuan: more than that is a slip of the finger."""

_ID = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{ID_CHARACTERS_MAX - 1}}}")
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_TYPED_WHEN_PLAIN = re.compile(
    r"true|false|True|False|TRUE|FALSE|[-+]?(?:[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
"""What YAML 1.2 (core schema) reads as something else than text when it stands without quotes."""
_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories: control characters, halves of surrogate pairs, line and paragraph separators."""
_NULLS = ("", "~", "null", "Null", "NULL")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, and what it is."""

    node: Node
    path: str
    line: int
    mistakes: Mistakes

    def wrong(self, what: str) -> None:
        """Note a mistake of this value."""
        self.mistakes.note(self.line, self.path, what)

    def wrong_below(self, key: str, what: str) -> None:
        """Note a mistake of a key of this mapping, in the line of the key where it is there."""
        lines = self.node.key_lines if isinstance(self.node, MappingNode) else {}
        self.mistakes.note(lines.get(key, self.line), key_path(self.path, key), what)

    # --- lists and mappings ---

    def items(self, example: str, least: int, most: int) -> "list[Place] | None":
        """The values of a list of `least` to `most`; `example` shows what one looks like."""
        if not isinstance(self.node, Sequence):
            self._not("a list", example)
            return None
        count = len(self.node.items)
        if count < least:
            self.wrong(f"is empty: write for example {example}, or leave it out")
            return None
        if count > most:
            self.wrong(f"has {count:,} entries; at most {most:,} are possible")
            return None
        return [
            Place(item, f"{self.path}[{place}]", item.line, self.mistakes) for place, item in enumerate(self.node.items)
        ]

    def entries(self, example: str) -> "dict[str, Place] | None":
        """The values of a mapping whose keys the file chooses, one at least. A key without a value is left out."""
        if not isinstance(self.node, MappingNode):
            self._not("a mapping", example)
            return None
        if not self.node.entries:
            self.wrong(f"is empty: write for example {example}")
            return None
        places = {key: self._below(key, value, self.node) for key, value in self.node.entries.items()}
        return {key: place for key, place in places.items() if not place.is_nothing()}

    def fields(self, known: Collection[str], required: Mapping[str, str], example: str) -> "dict[str, Place] | None":
        """The values of a mapping whose keys the format names; `required` maps those that must be there to examples."""
        if not isinstance(self.node, MappingNode):
            self._not("a mapping", example)
            return None
        for key in required:
            if key not in self.node.entries:
                self.wrong_below(key, f"is missing: write for example {key}: {required[key]}")
        found = {}
        for key, value in self.node.entries.items():
            place = self._below(key, value, self.node)
            if key not in known:
                place.wrong(f"unknown key{self.mistakes.nearest(key, known) or ': known here are ' + ', '.join(known)}")
            elif not place.is_nothing():
                found[key] = place
        return found

    def _below(self, key: str, value: Node, mapping: MappingNode) -> "Place":
        return Place(value, key_path(self.path, key), mapping.key_lines[key], self.mistakes)

    def is_nothing(self) -> bool:
        """Whether there is no value; that has then been noted."""
        if isinstance(self.node, Scalar) and self.node.plain and self.node.text in _NULLS:
            self.wrong("has no value: give one, or remove the key")
            return True
        return False

    def has(self, key: str) -> bool:
        """Whether this is a mapping with that key, whatever its value."""
        return isinstance(self.node, MappingNode) and key in self.node.entries

    def keys(self, known: Collection[str]) -> frozenset[str]:
        """Which of those keys this mapping has, whatever their values."""
        return frozenset(key for key in known if self.has(key))

    def is_list(self) -> bool:
        """Whether this is a list."""
        return isinstance(self.node, Sequence)

    def _not(self, wanted: str, example: str) -> None:
        if not self.is_nothing():
            found = {Scalar: "a single value", Sequence: "a list", MappingNode: "a mapping"}[type(self.node)]
            self.wrong(f"must be {wanted}, not {found}: write for example {example}")

    # --- single values ---

    def _scalar(self, example: str) -> Scalar | None:
        if not isinstance(self.node, Scalar):
            self._not("a single value", example)
            return None
        return None if self.is_nothing() else self.node

    def text(self, longest: int, example: str) -> str | None:
        """Text of 1 to `longest` characters, without control characters or space around it."""
        return self._text(lambda text: flaw_of_text(text, longest), example)

    def id(self, example: str) -> str | None:
        """An id."""
        return self._text(flaw_of_id, example)

    def _text(self, flaw_of: Callable[[str], str | None], example: str) -> str | None:
        scalar = self._scalar(example)
        if scalar is None:
            return None
        if scalar.plain and _TYPED_WHEN_PLAIN.fullmatch(scalar.text):
            self.wrong(f"must be text: write it in quotes, {shown(scalar.text)}")
            return None
        flaw = flaw_of(scalar.text)
        if flaw:
            self.wrong(flaw)
            return None
        return scalar.text

    def choice(self, choices: Collection[str]) -> str | None:
        """One of those words."""
        scalar = self._scalar(next(iter(choices)))
        if scalar is None:
            return None
        if scalar.text in choices:
            return scalar.text
        *others, last = choices
        self.wrong(f"{shown(scalar.text)} is not possible here: write {', '.join(others)} or {last}")
        return None

    def flag(self) -> bool | None:
        """`true` or `false`, without quotes."""
        scalar = self._scalar("true")
        if scalar is None:
            return None
        if scalar.plain and scalar.text in ("true", "false"):
            return scalar.text == "true"
        self.wrong(f"must be true or false, without quotes, not {shown(scalar.text)}")
        return None

    def whole(self, least: int, most: int, what: str = "a whole number") -> int | None:
        """A whole number from `least` to `most`, written in digits without quotes."""
        scalar = self._scalar(str(least))
        if scalar is None:
            return None
        wanted = f"must be {what} from {least:,} to {most:,}"
        if not scalar.plain:
            self.wrong(f"{wanted}, without quotes")
            return None
        if not _PLAIN_NUMBER.fullmatch(scalar.text):
            self.wrong(f"{wanted} in digits alone, not {shown(scalar.text)}")
            return None
        # the length is looked at first: turning a million digits into a number takes long
        if len(scalar.text) > 20 or not least <= int(scalar.text) <= most:
            self.wrong(f"{wanted}, not {shown(scalar.text)[1:-1]}")
            return None
        return int(scalar.text)

    def amount(self) -> int | None:
        """An amount of money in minor units, above 0."""
        return self.whole(1, AMOUNT_MAX, "a whole number of minor units")

    def read(self, reader: Callable[[str], T], example: str, *, quoted: bool = False) -> T | None:
        """What `reader` makes of a single value; `reader` raises NotATime with the words for the operator.

        `quoted`: it must stand in quotes, because older YAML makes numbers and dates of such text.
        """
        scalar = self._scalar(example)
        if scalar is None:
            return None
        unquoted = quoted and scalar.plain
        try:
            value = reader(scalar.text)
        except NotATime as error:
            self.wrong(f"{error}, with the quotes" if unquoted else str(error))
            return None
        if unquoted:
            self.wrong(f"must stand in quotes: {shown(scalar.text)}")
            return None
        return value


def flaw_of_id(text: str) -> str | None:
    """What is wrong with an id, or None."""
    if _ID.fullmatch(text):
        return None
    return f"{shown(text)} is not an id: 1 to {ID_CHARACTERS_MAX} characters a-z, 0-9 and -, the first not -"


def flaw_of_text(text: str, longest: int) -> str | None:
    """What is wrong with a text for people or a name from elsewhere, or None. Does not repeat the text."""
    if not text.strip():
        return "is empty"
    if len(text) > longest:
        return f"has {len(text):,} characters; at most {longest:,} are possible"
    if any(unicodedata.category(character) in _NO_TEXT for character in text):
        return "contains a line break or another character that cannot be printed"
    if text != text.strip():
        return "begins or ends with a space"
    return None

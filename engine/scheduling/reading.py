"""YAML text to a tree in which every value knows its line.

YAML 1.2, less what makes a file mean different things to different readers, or unfold without
bound: no tags, no %-directives, no merge keys, no second document, no key twice. Values are not
interpreted here: `Scalar` keeps the text as it was written and whether it stood in quotes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from engine.scheduling.mistakes import Mistakes, shown

FILE_BYTES_MAX = 1_048_576
"""Ten thousand stores, the most there may be, take some 650,000 bytes and two seconds to read."""
DEPTH_MAX = 12
"""The format needs five levels; reading a tree goes as deep in Python's stack as the tree is deep."""
VALUES_MAX = 500_000
"""Values once aliases are unfolded: eight lines of aliases of aliases would otherwise make billions."""

_NO_CHARACTER = re.compile(r"\\U(?!0010|000)[0-9a-fA-F]{8}")


@dataclass(slots=True)
class Scalar:
    """A single value: its text, and whether it was written plain, that is without quotes."""

    line: int
    text: str
    plain: bool
    values: int = 1
    depth: int = 1


@dataclass(slots=True)
class Sequence:
    """A list. `values` counts it and all below it, `depth` its levels; both 0 until it is complete."""

    line: int
    items: "list[Node]" = field(default_factory=list)
    values: int = 0
    depth: int = 0


@dataclass(slots=True)
class Mapping:
    """Keys and values in the order of the file; `key_lines` has the line of each key."""

    line: int
    entries: "dict[str, Node]" = field(default_factory=dict)
    key_lines: dict[str, int] = field(default_factory=dict)
    values: int = 0
    depth: int = 0


Node = Scalar | Sequence | Mapping


def read_tree(text: str, mistakes: Mistakes) -> Mapping:
    """The mapping that a campaign file is.

    What can be read past (a key twice, a tag) is noted in `mistakes`; raises CampaignFileError with
    all mistakes so far where reading cannot go on.
    """
    if len(text.encode(errors="replace")) > FILE_BYTES_MAX:
        most = f"{FILE_BYTES_MAX:,} bytes, which is the most that is read"
        mistakes.note(0, "", f"is larger than {most}: put long lists into files beside it")
        raise mistakes.refuse()
    tree = _Tree(mistakes)
    try:
        for event in _events(text):
            tree.take(event)
    except _Unreadable as error:
        tree.stop(error.line, error.what)
    if not isinstance(tree.root, Mapping):
        tree.stop(1, "is not a campaign file: it must be a mapping that begins like campaign: hubei-2021")
    return tree.root


class _Unreadable(Exception):
    """The parser cannot go on."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def _events(text: str) -> Iterator[Event]:
    """The parser's events; whatever it raises becomes _Unreadable, with the words for the operator."""
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _Unreadable(line, "contains a character that YAML does not allow") from error
    except YAMLError as error:
        raise _Unreadable(*_line_and_problem(error)) from error
    except (ValueError, OverflowError) as error:
        # ruamel turns "\\UFFFFFFFF" into a character without looking whether there is one
        escape = _NO_CHARACTER.search(text)
        line = text.count("\n", 0, escape.start()) + 1 if escape else 0
        raise _Unreadable(line, f"contains {escape[0] if escape else 'an escape'}, which is no character") from error


def _line_and_problem(error: YAMLError) -> tuple[int, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = (getattr(error, "problem", None) or str(error)).splitlines()[0]
    context = getattr(error, "context", None) or ""
    if "'\\t'" in problem:
        problem, context = "a tab cannot indent a line: use spaces", ""
    elif "mapping values are not allowed" in problem:
        problem, context = "a second colon in this line: put text that contains a colon in quotes", ""
    return mark.line + 1 if mark else 0, f"is not valid YAML: {problem} {context}".rstrip()


@dataclass(slots=True)
class _Open:
    """A list or mapping that is not complete yet, and the key whose value comes next."""

    node: Sequence | Mapping
    key: str | None = None
    key_line: int = 0
    dropped: bool = False
    """The value that comes next belongs to a key that was refused."""


class _Tree:
    """Puts events together. Not recursive, so that no file can exhaust the stack."""

    def __init__(self, mistakes: Mistakes) -> None:
        self.root: Node | None = None
        self._mistakes = mistakes
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0

    def stop(self, line: int, what: str) -> NoReturn:
        """Give up; what stands behind this place cannot be read."""
        self._mistakes.note(line, self._path(), what)
        raise self._mistakes.refuse()

    def take(self, event: Event) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, NodeEvent):
            self._take_node(event, line)
        elif isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self.stop(line, "a second document begins here: remove the line ---, one file is one campaign")
            if event.version or event.tags:
                self._mistakes.note(1, "", "remove the line that begins with %: campaign files are plain YAML 1.2")
        elif self._open and type(event).__name__ in ("SequenceEndEvent", "MappingEndEvent"):
            self._close()

    def _take_node(self, event: NodeEvent, line: int) -> None:
        if isinstance(event, AliasEvent):
            self._add(self._aliased(event, line), line)
            return
        tag = getattr(event, "tag", None)
        if tag is not None and str(tag) != "!":
            self._mistakes.note(line, self._path(), "remove the tag that begins with !: values need none here")
        node: Node
        if isinstance(event, ScalarEvent):
            node = Scalar(line, event.value, plain=event.style in (None, ""))
        else:
            node = Sequence(line) if isinstance(event, SequenceStartEvent) else Mapping(line)
        if event.anchor:
            self._anchors[event.anchor] = node
        if isinstance(node, Scalar):
            self._add(node, line)
        else:
            self._open.append(_Open(node))
            self._check_bounds(line, len(self._open), 0)

    def _aliased(self, event: AliasEvent, line: int) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            self.stop(line, f"*{event.anchor}: no value before this place is marked &{event.anchor}")
        if not node.values:
            self.stop(line, f"*{event.anchor} stands inside the value that it names")
        return node

    def _close(self) -> None:
        node = self._open.pop().node
        below = node.items if isinstance(node, Sequence) else list(node.entries.values())
        node.values = 1 + sum(child.values for child in below)
        node.depth = 1 + max((child.depth for child in below), default=0)
        self._check_bounds(node.line, len(self._open) + node.depth, node.values)
        self._add(node, node.line)

    def _check_bounds(self, line: int, depth: int, values: int) -> None:
        if depth > DEPTH_MAX:
            self.stop(line, f"is nested more than {DEPTH_MAX} levels deep")
        if values > VALUES_MAX:
            self.stop(line, f"unfolds to more than {VALUES_MAX:,} values: use fewer aliases")

    def _add(self, node: Node, line: int) -> None:
        """Put a complete value where it belongs."""
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
        elif parent.key is None:
            self._take_key(parent, parent.node, node, line)
        else:
            if not parent.dropped:
                parent.node.entries[parent.key] = node
                parent.node.key_lines[parent.key] = parent.key_line
            parent.key, parent.dropped = None, False

    def _take_key(self, parent: _Open, mapping: Mapping, key: Node, line: int) -> None:
        if not isinstance(key, Scalar):
            self._mistakes.note(line, self._path(), "a list or mapping cannot be a key")
            parent.key, parent.dropped = "", True
            return
        parent.key, parent.key_line = key.text, line
        if key.text == "<<" and key.plain:
            parent.dropped = True
            self._mistakes.note(
                line, self._path(), "merge keys are not part of YAML 1.2: write the keys out, or use wave_defaults"
            )
        elif key.text in mapping.entries:
            parent.dropped = True
            first = mapping.key_lines[key.text]
            self._mistakes.note(line, self._path(), f"is there twice, first in line {first}: remove one of them")

    def _path(self) -> str:
        path = ""
        for parent in self._open:
            if isinstance(parent.node, Sequence):
                path += f"[{len(parent.node.items)}]"
            elif parent.key is not None:
                path = key_path(path, parent.key)
        return path


def key_path(path: str, key: str) -> str:
    """The path of a key below `path`, as messages give it: waves[2].stock.mall-50."""
    readable = key if key.isprintable() and len(key) <= 64 else shown(key)
    return f"{path}.{readable}" if path else readable

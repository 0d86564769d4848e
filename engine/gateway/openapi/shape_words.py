"""A shape in a few words: what stands beside a member's name on the page."""

import html
from collections.abc import Callable, Iterator
from typing import Any

Shape = dict[str, Any]
Link = Callable[[str], str]
"""The name of a shape as a link to it."""


def rows_of(shape: Shape) -> Iterator[tuple[str, Shape, bool]]:
    """Name, shape, and whether it is always there, of each member of an object."""
    required = shape.get("required", [])
    for name, member in shape.get("properties", {}).items():
        yield name, member, name in required


def kind_of(shape: Shape, link: Link, word_or: str) -> str:
    """What a value is, as HTML."""
    if "$ref" in shape:
        return link(shape["$ref"].rpartition("/")[2])
    for choice in ("oneOf", "anyOf"):
        if choice in shape:
            return f" {word_or} ".join(kind_of(each, link, word_or) for each in shape[choice])
    if "const" in shape:
        return _code(_shown(shape["const"]))
    if "enum" in shape:
        return " · ".join(_code(str(value)) for value in shape["enum"])
    kinds = shape.get("type", "any")
    return f" {word_or} ".join(
        _kind(kind, shape, link, word_or) for kind in ([kinds] if isinstance(kinds, str) else kinds)
    )


def _kind(kind: str, shape: Shape, link: Link, word_or: str) -> str:
    if kind == "array":
        return f"[ {kind_of(shape['items'], link, word_or)} … ]"
    if kind == "object" and isinstance(shape.get("additionalProperties"), dict):
        return f"{{ … : {kind_of(shape['additionalProperties'], link, word_or)} }}"
    if kind == "object" and "properties" in shape:
        inner = ", ".join(f"{name}: {kind_of(each, link, word_or)}" for name, each, _ in rows_of(shape))
        return f"{{ {inner} }}"
    if kind == "integer":
        return _integer(shape)
    if kind == "string" and "format" in shape:
        return str(shape["format"])
    return kind


def _integer(shape: Shape) -> str:
    least, most = shape.get("minimum", 0), shape.get("maximum", 0)
    if most >= 2**53 - 1:  # a bound that only says that the number is exact
        return "integer" if least <= 0 else f"integer ≥ {least:,}"
    return f"integer {least:,} – {most:,}"


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _code(text: str) -> str:
    return f"<code>{html.escape(text, quote=False)}</code>"

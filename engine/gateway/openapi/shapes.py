"""JSON Schema in few words: what the other modules here describe members with.

Objects do not forbid further members: a client has to ignore those that it does not know, so that the contract can
grow. (The tests do forbid them: whatever the gateway sends has to be described.)
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from engine.scheduling.places import ID_CHARACTERS_MAX

Shape = dict[str, Any]
Shapes = Mapping[str, Shape]

MILLISECONDS_MAX: Final = 2**53 - 1
"""Integers that every JSON reader keeps exact (RFC 8259, 6)."""

REQUEST_ID: Final = "^[A-Za-z0-9._-]{1,64}$"
"""The name of a request (`gateway.request_ids`)."""


def text(says: str = "", **rest: Any) -> Shape:
    """A string."""
    return _described({"type": "string", **rest}, says)


def whole(says: str = "", least: int = 0, most: int = MILLISECONDS_MAX) -> Shape:
    """An integer within bounds."""
    return _described({"type": "integer", "minimum": least, "maximum": most}, says)


def truth(says: str = "") -> Shape:
    """A boolean."""
    return _described({"type": "boolean"}, says)


def one_of(values: Iterable[str], says: str = "") -> Shape:
    """One of these strings."""
    return _described({"type": "string", "enum": list(values)}, says)


def always(value: str | int | bool) -> Shape:
    """That value and no other; its type is named for generators that do not look at `const`."""
    kinds = {bool: "boolean", int: "integer", str: "string"}
    return {"type": kinds[type(value)], "const": value}


def instant(says: str = "") -> Shape:
    """RFC 3339 with an offset, to the millisecond."""
    return text(says, format="date-time")


def identifier(says: str = "") -> Shape:
    """An id as campaign files have them."""
    return text(says, pattern=f"^[a-z0-9][a-z0-9-]{{0,{ID_CHARACTERS_MAX - 1}}}$")


def listed(items: Shape, says: str = "", **rest: Any) -> Shape:
    """An array."""
    return _described({"type": "array", "items": items, **rest}, says)


def keyed(values: Shape, says: str = "") -> Shape:
    """An object whose names are data."""
    return _described({"type": "object", "additionalProperties": values}, says)


def members(required: Shapes, optional: Shapes | None = None, says: str = "") -> Shape:
    """An object with these members."""
    shape: Shape = {"type": "object", "properties": {**required, **(optional or {})}}
    if required:
        shape["required"] = list(required)
    return _described(shape, says)


def or_null(shape: Shape) -> Shape:
    """That, or null."""
    if shape.get("type") in ("string", "integer") and "enum" not in shape:
        return shape | {"type": [shape["type"], "null"]}
    return {"oneOf": [shape, {"type": "null"}]}


def schema(name: str) -> Shape:
    """The shape of that name, which stands under components."""
    return {"$ref": f"#/components/schemas/{name}"}


def _described(shape: Shape, says: str) -> Shape:
    return shape | {"description": says} if says else shape

"""The fields in which two states of the trail differ. Pure."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct


class Difference(Struct, frozen=True):
    """One field, by its path (`offers.1.total`), from what to what; None where there was or is none."""

    path: str
    before: Any
    after: Any


def differences(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """The fields in which two JSON values differ, by the order of `after`.

    Things in a list that have an `id` are compared with the thing of the same id, and named by it. What came or
    went whole is one difference.
    """
    old, new = _members(before), _members(after)
    if old is None or new is None:
        if before != after:
            yield Difference(path, before, after)
        return
    for name in {**new, **old}:
        yield from differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    if isinstance(before, list) and before != after and old == new:
        yield Difference(f"{path} (order)", list(old), list(new))


def _members(value: Any) -> dict[str, Any] | None:
    """A value's parts by name; None where it has no names for them."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and value and all(isinstance(each, dict) and "id" in each for each in value):
        return {each["id"]: each for each in value}
    return None

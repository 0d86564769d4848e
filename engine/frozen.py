"""Records that stay as they were made."""

from typing import dataclass_transform

from msgspec import Struct


@dataclass_transform(frozen_default=True)
class Frozen(Struct, frozen=True, gc=False):
    """A Struct that is frozen though its class line does not say so.

    For modules that are compiled (`hatch_build.py`): mypyc loses what a class line says besides its bases
    (python/mypy#21938), so that `Struct, frozen=True` would be mutable there, and without a hash.

    What is frozen refers to nothing that refers back to it, so the garbage collector need not look (`gc=False`).
    """

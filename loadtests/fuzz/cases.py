"""What a case is: bytes for a connection, and the answers that are due for them."""

import re
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from loadtests.fuzz.kit import Kit
from loadtests.fuzz.reading import End, Seen, read

_PLAIN_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""What the gateway repeats as `X-Request-Id`."""


class Want(NamedTuple):
    """One answer that is due."""

    codes: frozenset[str] | None = None
    """Codes of problems, or statuses, one of which it has; None: whatever is documented."""
    request_id: bytes = b""
    """What it has to repeat; empty: nothing."""
    to_head: bool = False
    may_claim: bool = False
    """Whether a claim may come of it."""
    may_end: bool = False
    """Whether it may be a refusal that ends the connection."""
    may_be_told_to_go_on: bool = False


class Case(NamedTuple):
    """One malformed request, with what stands around it on the wire."""

    number: int
    kind: str
    data: bytes
    wants: tuple[Want, ...]
    end: End = End.CLEAN

    @property
    def is_last(self) -> bool:
        """Whether nothing can follow it on its connection."""
        return self.end is not End.CLEAN or any(want.may_end for want in self.wants)


Generator = Callable[[Random, Kit, int], Case]


def one(
    number: int, kind: str, data: bytes, codes: frozenset[str] | None, *, may_claim: bool = False, may_end: bool = False
) -> Case:
    """A case of one well-framed request named `number`, whose connection goes on behind it."""
    want = Want(codes, b"%d" % number, data.startswith(b"HEAD "), may_claim, may_end)
    return Case(number, kind, data, (want,))


def by_reading(number: int, kind: str, data: bytes, kit: Kit, *, is_followed: bool = True) -> Case:
    """A case whose answers are due as a strict reader of HTTP reads it, with an honest claim behind it.

    Where that reader makes a request of the claim, it has to be answered as itself; where not, nothing may come of it.
    """
    if is_followed:
        data += kit.claim(f"{number}-behind", b"%d-behind" % number)
    reading = read(data)
    return Case(number, kind, data, tuple(_want(request, kit) for request in reading.requests), reading.end)


def _want(request: Seen, kit: Kit) -> Want:
    sent_id = request.fields.get(b"x-request-id", b"")
    return Want(
        request_id=sent_id if _PLAIN_ID.fullmatch(sent_id) else b"",
        to_head=request.method == b"HEAD",
        may_claim=request.method == b"POST" and kit.is_claims(request.target),
        may_end=True,
        may_be_told_to_go_on=request.expects,
    )

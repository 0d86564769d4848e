"""The generators of cases: each kind with its weight. A kind makes whatever its name says can be wrong."""

from random import Random
from typing import Final

from loadtests.fuzz.cases import Case, Generator, one
from loadtests.fuzz.kinds import addresses, bodies, chunks, credentials, flows, operators, tills, wire
from loadtests.fuzz.kit import Kit

CONTROL_EACH: Final = 1_000
"""One case in so many is an honest claim, which has to be granted."""


def control(_draw: Random, kit: Kit, number: int) -> Case:
    """An honest claim."""
    return one(number, "control", kit.claim(number, b"%d" % number), frozenset({"201"}), may_claim=True)


KINDS: Final[dict[str, tuple[Generator, int]]] = {
    "body: JSON": (bodies.spoilt_json, 24),
    "body: how it is sent": (bodies.sent_otherwise, 4),
    "address": (addresses.odd_address, 11),
    "method": (addresses.odd_method, 5),
    "credentials": (credentials.bad_credentials, 14),
    "headers": (credentials.odd_headers, 10),
    "operators": (operators.bad_acts, 3),
    "campaign files": (operators.bad_files, 1),
    "tills": (tills.bad_tills, 3),
    "wire: request line": (wire.request_line, 5),
    "wire: fields": (wire.fields, 5),
    "wire: Content-Length": (wire.content_length, 4),
    "wire: Transfer-Encoding": (wire.transfer_encoding, 4),
    "wire: Host": (wire.host, 2),
    "wire: Expect, Upgrade": (wire.expect_and_upgrade, 2),
    "wire: chunks": (chunks.spoilt_chunks, 6),
    "wire: trailers": (chunks.trailers, 2),
    "wire: oversize": (wire.oversize, 1),
    "wire: other protocols": (flows.other_protocols, 2),
    "wire: smuggling": (flows.smuggling, 4),
    "wire: halves": (flows.halves, 2),
    "wire: bad among good": (flows.bad_among_good, 1),
    "wire: mutants": (flows.mutants, 8),
}
"""Name, generator, and how often it comes, in hundredths or so."""

_NAMES: Final = tuple(KINDS)
_WEIGHTS: Final = tuple(weight for _, weight in KINDS.values())
_CUMULATED: Final = tuple(sum(_WEIGHTS[: place + 1]) for place in range(len(_WEIGHTS)))


def make_case(seed: int, number: int, kit: Kit) -> Case:
    """Case `number` of that seed; the same each time, but for times that stand in tokens."""
    draw = Random(seed << 40 | number)
    if number % CONTROL_EACH == CONTROL_EACH - 1:
        return control(draw, kit, number)
    (name,) = draw.choices(_NAMES, cum_weights=_CUMULATED)
    return KINDS[name][0](draw, kit, number)._replace(kind=name)

"""A verdict: what was found of each promise, with the figures behind it.

    P1 never more claims than stock                     P5 asking again is safe
    P2 never more than the limit                        P6 nobody before the opening or after the close
    P3 what was acknowledged reaches the ledger         P7 numbers without gaps
    P4 what is wanted is given out                      P8 what was claimed is honoured in shops
                                                        P9 every refusal says its one true reason

The audit judges P1 to P7 from the stores, a rehearsal from what its users were told as well; P8 is judged by a
rehearsal that goes on into shops.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

Promise = Literal["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9"]

PROMISES: Mapping[Promise, str] = MappingProxyType(
    {
        "P1": "never more claims than stock",
        "P2": "never more than the limit for a claimant",
        "P3": "acknowledged claims are kept",
        "P4": "what is wanted is given out",
        "P5": "asking again gives the same claim",
        "P6": "only between opening and close",
        "P7": "numbers without gaps, in order",
        "P8": "what was claimed is honoured in shops",
        "P9": "every refusal is true",
    }
)

EXAMPLES_MAX = 5
"""Of each kind of fault: enough to look into it, and a broken million does not fill a screen."""


class Finding(Struct, frozen=True):
    """What was found of one promise. `held` is None where it cannot be judged; `figures` then says why."""

    promise: Promise
    held: bool | None
    figures: str
    examples: tuple[str, ...] = ()
    """What broke it, a line each; without codes and persons, so that a verdict can be shown to anybody."""


class Verdict(Struct, frozen=True):
    """Findings on one campaign or wave, in the order of the promises."""

    subject: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    """Figures that belong to no promise, a line each."""

    @property
    def broken(self) -> bool:
        """Whether any promise broke."""
        return any(finding.held is False for finding in self.findings)


class Faults:
    """What was found wrong so far, by promise and kind: all of it counted, a few examples kept."""

    def __init__(self) -> None:
        self._counts: defaultdict[Promise, dict[str, int]] = defaultdict(dict)
        self._examples: defaultdict[tuple[Promise, str], list[str]] = defaultdict(list)

    def add(self, promise: Promise, what: str, example: str = "", count: int = 1) -> None:
        """That many more of this kind; `what` is in the plural, such as "claims without a voucher"."""
        counts = self._counts[promise]
        counts[what] = counts.get(what, 0) + count
        examples = self._examples[promise, what]
        if example and len(examples) < EXAMPLES_MAX:
            examples.append(example)

    def add_many(self, promise: Promise, what: str, count: int, examples: Iterable[str]) -> None:
        """`count` of this kind, with some examples; nothing where the count is 0."""
        if count:
            self.add(promise, what, count=count)
            for example in examples:
                self.add(promise, what, example, count=0)

    def finding(self, promise: Promise, figures: str, *, unknown: str = "") -> Finding:
        """The finding on a promise: broken where any fault was added, else held, else unknown for that reason."""
        counts = self._counts.get(promise, {})
        if counts:
            broken = "; ".join(f"{count:,} {what}" for what, count in counts.items())
            examples = [f"{what}: {line}" for what in counts for line in self._examples[promise, what]]
            return Finding(promise, False, f"{broken}. {figures}", tuple(examples))
        if unknown:
            return Finding(promise, None, f"{unknown}. {figures}")
        return Finding(promise, True, figures)


def joined(subject: str, verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict of several: a promise held where each that looked at it says so."""
    found: defaultdict[Promise, list[Finding]] = defaultdict(list)
    notes: list[str] = []
    for verdict in verdicts:
        notes += verdict.notes
        for finding in verdict.findings:
            found[finding.promise].append(finding)
    findings = tuple(_joined(promise, found[promise]) for promise in PROMISES if promise in found)
    return Verdict(subject, findings, tuple(notes))


def _joined(promise: Promise, findings: list[Finding]) -> Finding:
    held: bool | None = True
    if any(finding.held is False for finding in findings):
        held = False
    elif any(finding.held is None for finding in findings):
        held = None
    return Finding(
        promise,
        held,
        "\n".join(finding.figures for finding in findings),
        tuple(example for finding in findings for example in finding.examples),
    )

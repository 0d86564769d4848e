"""The end of a run: a table of what became of each kind, figures before and after, and whether all was right."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from loadtests.fuzz.judge import Judge
from loadtests.fuzz.stage import Standing

GROWTH_BYTES_MAX: Final = 64 * 2**20
"""Of a gateway from its first hundredth of the run on. Accounts whose rate is remembered, hosts and parsers have
bounds and take some 40 MB; what leaks a hundred bytes a request has outgrown this after 700,000."""
CODES_TOLD_MAX: Final = 6
FINDINGS_TOLD_MAX: Final = 20


class Memory(Struct, frozen=True):
    """Resident bytes of the gateways: at the start, once everything was used a few times, and at the end."""

    start: int
    warm: int
    end: int

    @property
    def has_grown(self) -> bool:
        """Whether more than the bounds of all caches together explain."""
        return self.end - self.warm > GROWTH_BYTES_MAX


class Outcome(Struct, frozen=True):
    """What a run has found."""

    seed: int
    asked: int
    made: int
    took_s: float
    connections: int
    judge: Judge
    before: Standing
    after: Standing
    verdict: dict[str, Any]
    memory: Sequence[Memory]
    troubles: Sequence[str]
    """What ended the run early, or was seen of the gateways' processes."""

    @property
    def wrong(self) -> list[str]:
        """Each thing that is wrong, in a line; empty where all was right."""
        granted = self.after.claimed - self.before.claimed
        lines = [f"{what}: {count:,} times" for what, count in self.judge.wrong.most_common()]
        lines += self.troubles
        if self.made < self.asked:
            lines.append(f"only {self.made:,} of {self.asked:,} requests were made")
        if self.judge.requests["control"] - self.judge.controls > self.judge.shed:
            lines.append("honest claims were not granted")
        if granted != self.judge.claimed:
            lines.append(
                f"the hot store granted {granted:,} claims, and {self.judge.claimed:,} were answered as granted"
            )
        if (self.after.act_no, self.after.revision, self.after.state) != (
            self.before.act_no,
            self.before.revision,
            self.before.state,
        ):
            lines.append(f"the wave was changed: {self.before} has become {self.after}")
        if self.verdict.get("broken"):
            lines.append("the audit has found a broken promise")
        lines += [
            f"a gateway has grown by {(each.end - each.warm) / 2**20:.0f} MB" for each in self.memory if each.has_grown
        ]
        return lines


def table(outcome: Outcome) -> str:
    """The whole report, as text."""
    judge = outcome.judge
    rows = [
        (kind, judge.requests[kind], judge.closed[kind], judge.codes.get(kind, Counter()))
        for kind in sorted(judge.requests, key=lambda kind: (kind == "control", kind))
    ]
    total: Counter[str] = sum((codes for *_, codes in rows), Counter())
    rows.append(("all", sum(judge.requests.values()), sum(judge.closed.values()), total))
    lines = [f"{'kind':24}{'requests':>10}{'closed':>9}{'kept':>9}  answers"]
    lines += [
        f"{kind:24}{requests:>10,}{closed:>9,}{requests - closed:>9,}  {_told(codes)}"
        for kind, requests, closed, codes in rows
    ]
    return "\n".join([*lines, "", *_figures(outcome, total), "", *_verdict(outcome)])


def _told(codes: Counter[str]) -> str:
    shown = [f"{code} {count:,}" for code, count in codes.most_common(CODES_TOLD_MAX)]
    rest = sum(codes.values()) - sum(count for _, count in codes.most_common(CODES_TOLD_MAX))
    return ", ".join([*shown, *([f"others {rest:,}"] if rest else [])])


def _figures(outcome: Outcome, total: Counter[str]) -> list[str]:
    judge, per_second = outcome.judge, outcome.made / max(outcome.took_s, 0.001)
    findings = outcome.verdict.get("findings", ())
    settled = next((finding["figures"] for finding in findings if finding["promise"] == "P3"), "not audited")
    lines = [
        f"{outcome.made:,} requests over {outcome.connections:,} connections in {outcome.took_s:.0f} s: "
        f"{per_second:,.0f} a second",
        f"500s: {total['internal']:,}   hangs: {judge.wrong['hang']:,}   waited in vain: {judge.wrong['slow']:,}   "
        f"shed: {judge.shed:,}   longest talk: {judge.longest_s:.1f} s",
        f"honest claims granted: {judge.controls:,} of {judge.requests['control']:,}; all claims: {judge.claimed:,}",
        f"claims in the hot store: {outcome.before.claimed:,} before, {outcome.after.claimed:,} after",
        f"the audit: {settled}",
    ]
    for nth, each in enumerate(outcome.memory, start=1):
        start, warm, end = (f"{size / 2**20:.0f} MB" for size in (each.start, each.warm, each.end))
        lines.append(f"memory of gateway {nth}: {start} before, {warm} after a hundredth, {end} at the end")
    return lines


def _verdict(outcome: Outcome) -> list[str]:
    wrong = outcome.wrong
    if not wrong:
        return [f"seed {outcome.seed}: all as it has to be"]
    examples = [
        f"  case {found.number} ({found.kind}): {found.what}" for found in outcome.judge.findings[:FINDINGS_TOLD_MAX]
    ]
    return [f"seed {outcome.seed}: WRONG", *(f"- {line}" for line in wrong), *examples]

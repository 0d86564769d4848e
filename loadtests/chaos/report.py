"""What a run has found, for people: a table of faults, and every contradiction with its story."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from loadtests.chaos.auditor import Contradiction
from loadtests.chaos.drop import Dropped

_STORIES_MAX: Final = 10
"""Users whose stories are shown; the others are counted."""
_LINES_MAX: Final = 30
_COLUMNS: Final = (
    "fault", "ack", "times", "median s", "worst s", "acknowledged", "lost", "twice", "stranded", "not known: ended",
)  # fmt: skip


@dataclass
class Row:
    """One fault under one `ack`. A drop with two faults counts under both."""

    times: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    stranded: int = 0
    unknown: Counter[str] = field(default_factory=Counter)


def table(drops: Sequence[Dropped]) -> Iterator[str]:
    """The table, line by line."""
    rows: dict[tuple[str, str], Row] = {}
    for drop in drops:
        for struck in drop.struck:
            row = rows.setdefault((struck.fault, drop.ack), Row())
            row.times += 1
            row.recoveries_s.append(struck.recovery_s)
            judgement = drop.judgement
            row.acknowledged += judgement.acknowledged
            row.lost += judgement.lost
            row.twice += judgement.twice
            row.stranded += judgement.stranded
            row.unknown += judgement.unknown
    cells = [_COLUMNS, *(_cells(fault, ack, row) for (fault, ack), row in sorted(rows.items()))]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_COLUMNS))]
    for line in cells:
        yield "  ".join(
            cell.ljust(width) if column in (0, 1, len(_COLUMNS) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()


def _cells(fault: str, ack: str, row: Row) -> tuple[str, ...]:
    ended = ", ".join(f"{count} {how}" for how, count in sorted(row.unknown.items()))
    return (
        fault, ack, str(row.times), f"{statistics.median(row.recoveries_s):.2f}", f"{max(row.recoveries_s):.2f}",
        str(row.acknowledged), str(row.lost), str(row.twice), str(row.stranded), ended or "none",
    )  # fmt: skip


def summary(drop: Dropped) -> str:
    """One line on one drop."""
    faults = ", ".join(f"{each.fault} ({each.recovery_s:.2f} s)" for each in drop.struck)
    judgement = drop.judgement
    verdict = f"{len(judgement.contradictions)} CONTRADICTIONS" if judgement.contradictions else "held"
    allowed, breach = judgement.lost - judgement.lost_in_breach, judgement.lost_in_breach
    lost = f", {allowed} lost as ack={drop.ack} allows" if allowed else ""
    lost += f", {breach} LOST" if breach else ""
    return (
        f"drop {drop.number}  ack={drop.ack}  {faults}: {len(drop.book.entries)} requests, "
        f"{judgement.acknowledged} acknowledged{lost}, {sum(judgement.unknown.values())} not known at first: {verdict}"
    )


def contradictions(drop: Dropped) -> Iterator[str]:
    """Every contradiction of a drop, by user, with all that this user sent and heard."""
    by_account: dict[str, list[Contradiction]] = defaultdict(list)
    for contradiction in drop.judgement.contradictions:
        by_account[contradiction.account].append(contradiction)
    for account, found in list(by_account.items())[:_STORIES_MAX]:
        for each in found:
            yield f"{each.promise}  {account or drop.plan.campaign}: {each.what}"
        story = drop.book.story(account) if account else []
        yield from (f"      {line}" for line in story[:_LINES_MAX])
        if len(story) > _LINES_MAX:
            yield f"      and {len(story) - _LINES_MAX} requests more"
    if len(by_account) > _STORIES_MAX:
        yield f"and of {len(by_account) - _STORIES_MAX} users more"

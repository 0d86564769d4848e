"""The results for people (Markdown) and for programs (JSON)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from loadtests.bench import plots
from loadtests.bench.bench import Bench
from loadtests.bench.machine import machine
from loadtests.bench.samples import Result, Spread
from loadtests.bench.words import words

REFERENCE = "nginx + Lua"
"""What ratios are to, where it took part; else the first side."""
_STEAL: Final = "cpu_steal_cores"
"""Stands in every table: a round from which the host has taken much says little about the side."""


def write_report(results: Sequence[Result], bench: Bench, out: Path | None) -> str:
    """The Markdown; also written into `out` with JSON and plots, where one is named."""
    about = machine(bench.folder)
    parts = ["# Benchmarks", "", *(f"- {name}: {value}" for name, value in about.items()), ""]
    parts += [f"- left out: {why}" for why in bench.left_out]
    parts += _sides(results)
    for result in results:
        parts += section(result)
    text = "\n".join(parts) + "\n"
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "results.md").write_text(text, "utf-8")
        everything = {"machine": about, "options": bench.options, "results": list(results)}
        if plots.missing():
            bench.leave_out(plots.missing())
        else:
            plots.write_plots(results, out)
        (out / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(everything), indent=1))
    return text


def _sides(results: Sequence[Result]) -> list[str]:
    """What each side does for a claim; not all of them do the same."""
    compared = [result for result in results if result.reference is not None]
    does = {side: what for result in compared for side, what in result.does.items()}
    if not does:
        return []
    rows = [f"| {side} | {what} |" for side, what in does.items()]
    return ["## What each side does for a claim", "", "| | |", "|---|---|", *rows, ""]


def section(result: Result) -> list[str]:
    """A scenario: what was done, a row a side, what processes used, what went wrong."""
    main = result.shown[0]
    reference = result.reference
    if reference == "":
        reference = REFERENCE if REFERENCE in result.sides else result.sides[0]
    compared = [] if reference is None else [f"{words(main)}: times {reference}"]
    stolen = [words(_STEAL)] if any(_STEAL in sample.figures for sample in result.samples) else []
    heads = [*map(words, result.shown), *compared, *stolen]
    lines = [f"## {result.title}", "", result.how, "", "| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for side in result.sides:
        cells = [_cell(result.spread(side, figure)) for figure in result.shown]
        if reference is not None:
            cells.append(_cell(None if side == reference else result.ratio(side, reference, main), 2))
        if stolen:
            cells.append(_cell(result.spread(side, _STEAL), 2))
        lines.append(f"| {side} | " + " | ".join(cells) + " |")
    lines += [
        "",
        *_cpu(result),
        *(f"- {note}" for note in result.notes),
        *(f"- WRONG: {what}" for what in result.wrong),
    ]
    return [*lines, ""]


def _cpu(result: Result) -> list[str]:
    """Cores that each process used, a line a side."""
    lines = []
    for side in result.sides:
        names = [each for each in dict.fromkeys(n for s in result.samples if s.side == side for n in s.figures)
                 if each.startswith("cpu_")]  # fmt: skip
        used = [(name[4:-6], result.spread(side, name)) for name in names]
        shown = ", ".join(f"{name} {spread.median:.2f}" for name, spread in used if spread and spread.median >= 0.005)
        if shown:
            lines.append(f"- cores used by {side}: {shown}")
    return lines


def _cell(spread: Spread | None, digits: int = 1) -> str:
    if spread is None:
        return ""
    digits = 0 if abs(spread.median) >= 1000 else max(digits, 2 if abs(spread.median) < 1 else 0)
    shown = f"{spread.median:,.{digits}f}"
    if spread.least == spread.most:
        return shown
    return f"{shown} ({spread.least:,.{digits}f}–{spread.most:,.{digits}f})"

"""The results as pictures, one a scenario. matplotlib draws them; without it there are none."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from loadtests.bench.samples import Result

INSTALL: Final = f"{sys.executable} -m pip install matplotlib==3.11.2"
_COLOURS: Final = ("#1f6f78", "#e08e45", "#8d6a9f", "#5b7f3a", "#b04a5a", "#6b7280")
_INCHES: Final = (9.0, 3.6)


def missing() -> str:
    """What is not installed, and the command that installs it; empty where it is there."""
    return "" if find_spec("matplotlib") else f"no plots, matplotlib is not installed: {INSTALL}"


def write_plots(results: Sequence[Result], out: Path) -> list[str]:
    """A picture of each result in that folder; their names."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = []
    for result in results:
        figure, (left, right) = plt.subplots(1, 2, figsize=_INCHES, layout="constrained")
        figure.suptitle(result.title, fontweight="bold")
        if result.scenario == "growth":
            _grow(left, result, ("redis_cpu_us_per_claim", "redis_script_us_per_claim"), "µs of Redis a claim")
            _grow(right, result, ("p50_ms", "p99_ms"), "ms")
        else:
            _bars(left, result, result.shown[0])
            _latencies(right, result)
        name = f"{result.scenario}.png"
        figure.savefig(out / name, dpi=120)
        plt.close(figure)
        names.append(name)
    return names


def _bars(axes: Any, result: Result, figure: str) -> None:
    """A bar a side, the extremes of its rounds as a line."""
    for place, side in enumerate(result.sides):
        spread = result.spread(side, figure)
        if spread is None:
            continue
        reach = [[spread.median - spread.least], [spread.most - spread.median]]
        axes.barh(place, spread.median, xerr=reach, color=_colour(place), capsize=3)
        axes.annotate(f" {spread.median:,.4g}", (spread.most, place), va="center", fontsize=8)
    axes.set_yticks(range(len(result.sides)), result.sides, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlabel(figure.replace("_per_second", "/s").replace("_", " "))
    _plain(axes)


def _latencies(axes: Any, result: Result) -> None:
    """Quantiles, a group each; logarithmic, because the last ones are what counts."""
    shown = [name for name in result.shown if name.endswith("_ms") and "late" not in name]
    if not shown:
        axes.set_axis_off()
        return
    width = 0.8 / len(result.sides)
    for place, side in enumerate(result.sides):
        for group, figure in enumerate(shown):
            spread = result.spread(side, figure)
            if spread is not None:
                reach = [[spread.median - spread.least], [spread.most - spread.median]]
                at = group + (place - (len(result.sides) - 1) / 2) * width
                axes.bar(at, spread.median, width * 0.9, yerr=reach, color=_colour(place), capsize=2)
    names = [figure.removesuffix("_ms").replace("_", " ") for figure in shown]
    axes.set_xticks(range(len(shown)), names, fontsize=8, rotation=20 if len(shown) > 4 else 0)
    axes.set_yscale("log")
    axes.set_ylabel("ms")
    _plain(axes)


def _grow(axes: Any, result: Result, figures: Sequence[str], unit: str) -> None:
    """Lines over the number of claimants."""
    for place, figure in enumerate(figures):
        points = []
        for side in result.sides:
            size, spread = result.spread(side, "claimants"), result.spread(side, figure)
            if size and spread:
                points.append((size.median, spread.median, spread.least, spread.most))
        sizes, medians, least, most = ([point[at] for point in points] for at in range(4))
        label = figure.removesuffix("_per_claim").replace("_", " ")
        axes.plot(sizes, medians, marker="o", color=_colour(place), label=label)
        axes.fill_between(sizes, least, most, color=_colour(place), alpha=0.2, linewidth=0)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("claimants in the shard before")
    axes.set_ylabel(unit)
    axes.legend(frameon=False, fontsize=8)
    _plain(axes)


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _colour(place: int) -> str:
    return _COLOURS[place % len(_COLOURS)]

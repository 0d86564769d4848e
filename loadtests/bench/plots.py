"""The results as pictures, one a scenario. matplotlib draws them; without it there are none."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from loadtests.bench.samples import Result
from loadtests.bench.words import words

INSTALL: Final = f"{sys.executable} -m pip install matplotlib==3.11.2"
_COLOURS: Final = ("#1f6f78", "#5b7f3a", "#b04a5a", "#6b7280", "#3f88c5", "#a3a847")
_BASELINES: Final = MappingProxyType(
    {"nginx + Lua": "#e08e45", "nginx + Lua, 1 worker": "#edc49c", "nginx + Lua, no file": "#edc49c",
     "FastAPI + redis-py": "#8d6a9f"}
)  # fmt: skip
"""The same in every picture."""
_WIDE: Final = (10.0, 4.2)
_SQUARE: Final = (10.0, 7.0)
_DECADE: Final = 10.0
"""Values that differ by more than this stand on a logarithmic axis."""
_GOAL_MB: Final = 20.0
_AT_A_RATE: Final = ("latency", "redemptions")
"""How many a second is fixed in them: how long they took is what differs."""
_GROWTH: Final = (
    (("redis_cpu_us_per_claim", "redis_script_us_per_claim", "gateway_us_per_claim"), "µs of processor a claim"),
    (("p50_ms", "p99_ms"), "ms through the gateway"),
    (("settled_per_second",), "claims settled a second"),
    (("rebuilt_s",), "s until it is rebuilt from the ledger"),
)


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
        square = result.scenario == "growth"
        shape = (2, 2) if square else (1, 1) if result.scenario == "memory" else (1, 2)
        figure, axes = plt.subplots(*shape, figsize=_SQUARE if square else _WIDE, layout="constrained", squeeze=False)
        figure.suptitle(result.title, fontweight="bold")
        draw(result, figure, list(axes.ravel()))
        name = f"{result.scenario}.png"
        figure.savefig(out / name, dpi=120)
        plt.close(figure)
        names.append(name)
    return names


def draw(result: Result, figure: Any, axes: Sequence[Any]) -> None:
    """What suits the scenario, into as many axes as it has."""
    match result.scenario:
        case "growth":
            for panel, (figures, label) in zip(axes, _GROWTH, strict=True):
                _lines(panel, result, "claimants", figures, label)
                panel.set_xscale("log")
                panel.set_xlabel("claimants in the shard before")
        case "memory":
            _lines(axes[0], result, "answers", ("grown_mb",), "MB resident above the start")
            axes[0].axhline(_GOAL_MB, color=_COLOURS[2], linestyle="--", linewidth=1, label="goal at ten million")
            axes[0].set_xlabel("requests answered")
            _tell(axes[0].xaxis)
            axes[0].legend(frameon=False, fontsize=8)
        case "drop":
            _groups(axes[0], result, [name for name in result.shown if name in ("sold_out_ms", "settled_ms")])
            _groups(axes[1], result, [name for name in result.shown if name.startswith(("winners", "losers"))])
            _legend(figure, result)
        case "settling":
            _bars(axes[0], result, result.shown[0])
            _groups(axes[1], result, ["writer_us", "postgres_us"], "µs of processor a claim")
            _legend(figure, result)
        case _:
            first = "p99_ms" if result.scenario in _AT_A_RATE else result.shown[0]
            _bars(axes[0], result, first)
            _groups(axes[1], result, [name for name in result.shown if name.endswith("_ms") and "late" not in name])
            _legend(figure, result)


def _bars(axes: Any, result: Result, figure: str) -> None:
    """A bar a side, the extremes of its rounds as a line."""
    tallest, shortest = [], []
    for place, side in enumerate(result.sides):
        spread = result.spread(side, figure)
        if spread is None:
            continue
        reach = [[spread.median - spread.least], [spread.most - spread.median]]
        axes.barh(place, spread.median, xerr=reach, color=_colour(result, side), capsize=3)
        axes.annotate(f"  {_number(spread.median)}", (spread.most, place), va="center", fontsize=8)
        tallest.append(spread.median)
        shortest.append(spread.least)
    axes.set_yticks(range(len(result.sides)), result.sides, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(words(figure))
    if _spans(tallest):
        axes.set_xscale("log")
        axes.set_xlim(min(shortest) / 2, max(tallest) * 4)
    else:
        axes.margins(x=0.2)
        axes.locator_params(axis="x", nbins=5)
    _tell(axes.xaxis)
    _plain(axes)


def _groups(axes: Any, result: Result, figures: Sequence[str], unit: str = "ms") -> None:
    """Figures of one unit, a group each, a bar a side in it, the extremes of its rounds as a line."""
    shown = [figure for figure in figures if any(result.spread(side, figure) for side in result.sides)]
    if not shown:
        axes.set_axis_off()
        return
    width, heights = 0.8 / len(result.sides), []
    for place, side in enumerate(result.sides):
        for group, figure in enumerate(shown):
            spread = result.spread(side, figure)
            if spread is not None:
                reach = [[spread.median - spread.least], [spread.most - spread.median]]
                at = group + (place - (len(result.sides) - 1) / 2) * width
                axes.bar(at, spread.median, width * 0.9, yerr=reach, color=_colour(result, side), capsize=2)
                heights.append(spread.median)
    names = [words(figure.removesuffix("_ms")).removesuffix(", µs a claim").replace(" p", "\n p") for figure in shown]
    axes.set_xticks(range(len(shown)), names, fontsize=8)
    axes.set_xlim(-0.5, len(shown) - 0.5)
    if _spans(heights):
        axes.set_yscale("log")
    _tell(axes.yaxis)
    axes.set_ylabel(unit)
    _plain(axes)


def _lines(axes: Any, result: Result, over: str, figures: Sequence[str], unit: str) -> None:
    """Figures over another one, the extremes of the rounds as a band."""
    heights = []
    for place, figure in enumerate(figures):
        points = []
        for side in result.sides:
            at, spread = result.spread(side, over), result.spread(side, figure)
            if at and spread:
                points.append((at.median, spread.median, spread.least, spread.most))
        places, medians, least, most = ([point[field] for point in points] for field in range(4))
        axes.plot(places, medians, marker="o", markersize=4, color=_COLOURS[place], label=words(figure))
        axes.fill_between(places, least, most, color=_COLOURS[place], alpha=0.2, linewidth=0)
        heights += medians
    if _spans(heights):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    _tell(axes.yaxis)
    axes.set_ylabel(unit)
    axes.legend(frameon=False, fontsize=8)
    _plain(axes)


def _legend(figure: Any, result: Result) -> None:
    """One for the whole picture, below it."""
    from matplotlib.patches import Patch

    patches = [Patch(color=_colour(result, side), label=side) for side in result.sides]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, frameon=False, fontsize=8)


def _spans(values: Sequence[float]) -> bool:
    """Whether they are too far apart for one linear axis."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > _DECADE


def _tell(axis: Any) -> None:
    """Numbers as people write them; on a logarithmic axis at 1, 2 and 5 of each decade, where that leaves room."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        room = _DECADE ** (2 if axis.axis_name == "x" else 5)
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < room else (1,), numticks=30))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _number(value)))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _colour(result: Result, side: str) -> str:
    own = [each for each in result.sides if each not in _BASELINES]
    return _BASELINES.get(side) or _COLOURS[own.index(side) % len(_COLOURS)]

"""Every metric is documented, kept, and named as Prometheus' conventions want; every alert speaks of what there is."""

import ast
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML

from engine.telemetry import metrics
from engine.telemetry.metrics import CAMPAIGNS_MAX, OTHERS, campaign_label

ROOT = Path(__file__).parents[2]
METRICS: dict[str, MetricWrapperBase] = {
    name: metric for name, metric in vars(metrics).items() if isinstance(metric, MetricWrapperBase)
}
EXPOSED = {metric._name + ("_total" if isinstance(metric, Counter) else ""): metric for metric in METRICS.values()}
"""By the name that stands in `/metrics`; a histogram's without its suffixes."""
UNITS = {"seconds", "bytes", "total", "info", "fds"} | {
    *("claims", "decisions", "connections", "flight", "buckets", "entries", "waves", "offers", "left", "leads"),
    *("bound", "epoch", "broken", "redemptions"),
}
"""How names may end: a base unit, or what is counted."""
NOT_BASE_UNITS = re.compile(
    r"_(ms|milliseconds?|us|micros|minutes?|hours?|days|kb|mb|kilobytes|percent|ratio_percent)(_|$)"
)
LABELS = {"endpoint", "outcome", "step", "reason", "stage", "campaign", "state", "stock", "role", "kind", "loop"} | {
    *("per", "fate", "version", "python", "store"),
}
"""Labels of few values. Nothing of a user, a wave or an address is one."""


def test_there_are_metrics() -> None:
    assert len(METRICS) > 40


def test_each_is_documented_and_nothing_else_is() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `dropwave_")]
    documented = [name for row in rows for name in re.findall(r"`(dropwave_\w+)`", row.split("|")[1])]
    assert sorted(documented) == sorted(EXPOSED)
    for name in re.findall(r"\bdropwave_\w*[a-z]\b", page):
        assert (
            any(name in names_of(exposed, metric) for exposed, metric in EXPOSED.items()) or name == "dropwave_process"
        ), name


def test_each_row_names_the_labels() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    for row in (line for line in page.splitlines() if line.startswith("| `dropwave_")):
        _, names, unit, *_ = row.split("|")
        for name in re.findall(r"`(dropwave_\w+)`", names):
            labels = re.findall(r"`(\w+)`", unit)
            assert labels == list(EXPOSED[name]._labelnames), name
            assert ("(histogram)" in unit) == isinstance(EXPOSED[name], Histogram), name
            assert unit.strip(), name


def test_each_is_kept_somewhere() -> None:
    """A figure that nobody keeps says 0, which is worse than nothing."""
    sources = [path.read_text() for path in (ROOT / "engine").rglob("*.py") if path.name != "metrics.py"]
    kept = {name for source in sources if "telemetry" in source for name in names_used(source)}
    assert METRICS.keys() - kept == set()


def names_used(source: str) -> set[str]:
    """Names that a module does something with beyond importing them: `X.labels(…)`, `X.inc()`."""
    return {
        node.value.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_names_and_labels(metric: MetricWrapperBase) -> None:
    """What `promtool check metrics` looks at, and what it cannot know."""
    name = metric._name
    assert re.fullmatch(r"dropwave(_[a-z]+)+", name)
    assert not NOT_BASE_UNITS.search(name)
    assert metric._documentation.endswith(".")
    assert set(metric._labelnames) <= LABELS
    if isinstance(metric, Counter):
        assert not name.endswith(("_count", "_sum", "_bucket", "_created"))
        return
    assert not name.endswith("_total"), "only what grows for good"
    assert name.rpartition("_")[2] in UNITS
    assert type(metric) in (Gauge, Histogram), "a summary cannot be added up over processes"


def test_gauges_of_several_processes() -> None:
    """Each says how they are put together, and goes with its process: a dead gateway has no connections."""
    for name, metric in METRICS.items():
        if isinstance(metric, Gauge):
            assert metric._multiprocess_mode.startswith("live"), name


def test_campaigns_make_no_end_of_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_campaigns", set())
    labels = [campaign_label(f"rehearsal-{no}") for no in range(CAMPAIGNS_MAX + 50)]
    assert labels[:CAMPAIGNS_MAX] == [f"rehearsal-{no}" for no in range(CAMPAIGNS_MAX)]
    assert set(labels[CAMPAIGNS_MAX:]) == {OTHERS}
    assert campaign_label("rehearsal-0") == "rehearsal-0"


# --- alerts ---


def rules() -> list[dict[str, Any]]:
    groups = YAML(typ="safe").load(ROOT / "deploy/prometheus/alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def names_of(exposed: str, metric: MetricWrapperBase) -> set[str]:
    if isinstance(metric, Histogram):
        return {exposed, *(exposed + suffix for suffix in ("_bucket", "_sum", "_count"))}
    return {exposed}


def selectors_of(expression: promql_parser.Expr) -> list[promql_parser.VectorSelector]:
    """Every metric that the expression looks at."""
    found: list[Any] = []
    promql_parser.walk(expression, found.append)
    return [node for node in found if isinstance(node, promql_parser.VectorSelector)]


def test_alerts_have_what_prometheus_wants() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 10
    for rule in rules():
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1s"))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_alerts_speak_of_metrics_that_exist(rule: dict[str, Any]) -> None:
    selectors = selectors_of(promql_parser.parse(rule["expr"]))
    assert len(selectors) == len(re.findall(r"\bdropwave_", rule["expr"]))
    for selector in selectors:
        metric = next((metric for name, metric in EXPOSED.items() if selector.name in names_of(name, metric)), None)
        assert metric is not None, selector.name
        if isinstance(metric, Histogram):
            assert selector.name.endswith(("_bucket", "_sum", "_count"))
        for matcher in selector.matchers.matchers:
            assert matcher.name in metric._labelnames
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        assert any(label in EXPOSED[name]._labelnames for name in EXPOSED if name in rule["expr"]), label

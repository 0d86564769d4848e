"""Imports run one way, and each library has its one place.

base ← domain ← {hotstore, ledger} ← features ← top
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[1] / "engine"

BASE = {"errors", "settings", "service", "telemetry", "readiness", "frozen"}
STORES = {"hotstore", "ledger"}
FEATURES = {"claiming", "settling", "scheduling", "redeeming", "wallet", "reporting", "rehearsal", "audit"}
TOP = {"gateway", "embedded", "cli", "wiring", "gateway_wiring", "__main__"}

ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(BASE, BASE),
    "domain": BASE,
    **{store: BASE | {"domain"} for store in STORES},
    **{feature: BASE | {"domain"} | STORES for feature in FEATURES},
    **{top: BASE | {"domain"} | STORES | FEATURES | TOP for top in TOP},
}
"""Which rooms a room may import; itself goes without saying."""

LIBRARIES = {
    "redis": {"hotstore"},
    "asyncpg": {"ledger"},
    "aiohttp": {"gateway", "rehearsal"},
    "opentelemetry": {"telemetry"},
}
"""Libraries that only these rooms import."""

Import = tuple[str, int, str]
"""(file, line, dotted name that is imported)."""


def imports_of(source: str, file: str) -> Iterator[Import]:
    """Every import in that text, inside functions too; relative ones as what they mean."""
    package = Path(file).parent.parts
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield file, node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*parts, *([node.module] if node.module else [])])
            yield from ((file, node.lineno, f"{module}.{alias.name}") for alias in node.names)


def room_of(file: str) -> str:
    """The room that a file of engine/ belongs to: its folder, or its own name."""
    return Path(file).parts[1].removesuffix(".py")


def wrong(found: Import) -> str:
    """What is wrong with an import; empty where nothing is."""
    file, line, name = found
    room, parts = room_of(file), name.split(".")
    if room == "__init__":
        return f"{file}:{line}: the package itself imports nothing" if parts[0] == "engine" else ""
    if parts[0] in LIBRARIES and room not in LIBRARIES[parts[0]]:
        return f"{file}:{line}: {parts[0]} belongs to {' and '.join(sorted(LIBRARIES[parts[0]]))} alone"
    if parts[0] == "engine" and parts[1] != room and parts[1] not in ALLOWED.get(room, set()):
        return f"{file}:{line}: {room} must not import {parts[1]}"
    return ""


def all_imports() -> list[Import]:
    files = sorted(ENGINE.rglob("*.py"))
    return [
        found
        for path in files
        for found in imports_of(path.read_text("utf-8"), path.relative_to(ENGINE.parent).as_posix())
    ]


def test_imports_run_one_way() -> None:
    found = all_imports()
    assert len(found) > 100, "the walk has found the engine"
    assert not [complaint for each in found if (complaint := wrong(each))]


def test_every_room_has_its_place() -> None:
    rooms = {room_of(path.relative_to(ENGINE.parent).as_posix()) for path in ENGINE.rglob("*.py")}
    assert rooms - {"__init__"} <= ALLOWED.keys()


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("engine/domain/codes.py", "from engine.hotstore import keys", "domain must not import hotstore"),
        ("engine/hotstore/log.py", "import engine.ledger.cursors", "hotstore must not import ledger"),
        ("engine/ledger/claims.py", "from engine.hotstore.keys import head", "ledger must not import hotstore"),
        ("engine/settling/writer.py", "from engine.claiming.desk import Desk", "settling must not import claiming"),
        ("engine/settling/writer.py", "from engine import wiring", "settling must not import wiring"),
        ("engine/claiming/desk.py", "from ..settling import writer", "claiming must not import settling"),
        ("engine/errors.py", "from .domain import codes", "errors must not import domain"),
        ("engine/audit/audit.py", "def f():\n    from engine.gateway import app", "audit must not import gateway"),
        ("engine/settling/writer.py", "import asyncpg", "asyncpg belongs to ledger alone"),
        ("engine/cli/main.py", "from redis.asyncio import Redis", "redis belongs to hotstore alone"),
        ("engine/embedded/up.py", "import aiohttp.web", "aiohttp belongs to gateway and rehearsal alone"),
    ],
)
def test_a_wrong_import_is_found(file: str, source: str, complaint: str) -> None:
    assert [wrong(found) for found in imports_of(source, file)] == [f"{file}:{source.count(chr(10)) + 1}: {complaint}"]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("engine/settling/writer.py", "from engine.ledger.cursors import Cursor\nfrom . import settler"),
        ("engine/gateway/app.py", "from engine.claiming.desk import Desk\nimport aiohttp\nimport redislike"),
        ("engine/cli/main.py", "from engine.wiring import connected"),
    ],
)
def test_a_right_import_is_let_through(file: str, source: str) -> None:
    assert not [complaint for found in imports_of(source, file) if (complaint := wrong(found))]


def test_a_writer_and_a_steward_start_without_a_web_server() -> None:
    """Its modules take as long to read as all others: who is started again after a kill is back the sooner."""
    code = "import sys, engine.cli.roles; print(*sys.modules)"
    read = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ENGINE.parent)
    assert "engine.settling.writer" in read.stdout.split()
    assert not {"aiohttp", "engine.gateway", "engine.audit", "engine.redeeming"} & set(read.stdout.split())

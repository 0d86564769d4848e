"""What the words of pip-audit mean for scripts/check."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "audit_packages.py"
FINE = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
UNKNOWN = {"name": "hiredis", "skip_reason": "Dependency not found on PyPI and could not be audited: hiredis (3.4.2)"}
FLAWED = {
    "name": "pyjwt",
    "version": "2.15.0",
    "vulns": [
        {"id": "PYSEC-2026-1", "fix_versions": ["2.15.1"], "aliases": [], "description": ""},
        {"id": "PYSEC-2026-2", "fix_versions": [], "aliases": [], "description": ""},
    ],
}


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_packages", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("ended", "packages", "status", "said"),
    [
        (0, [FINE, FINE], 0, "no known vulnerability in 2 packages (pypi)"),
        (0, [FINE, UNKNOWN], 0, "no known vulnerability in 1 packages (pypi); not known there: hiredis"),
        (0, [UNKNOWN, UNKNOWN], None, "pypi knows none of the 2 packages from here"),
        (
            1,
            [FINE, FLAWED, UNKNOWN],
            1,
            "pyjwt 2.15.0: PYSEC-2026-1, mended in 2.15.1\npyjwt 2.15.0: PYSEC-2026-2, not mended yet",
        ),
    ],
)
def test_an_answer(script: ModuleType, ended: int, packages: list[object], status: int | None, said: str) -> None:
    out = json.dumps({"dependencies": packages, "fixes": []})
    assert script.finding_of("pypi", ended, out, "a warning") == (status, said)


@pytest.mark.parametrize(
    ("err", "status", "said"),
    [
        (
            "Traceback …\nrequests.exceptions.ConnectionError: Max retries exceeded with url: /v1",
            None,
            "cannot be reached",
        ),
        ("ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed", None, "cannot be reached"),
        ("Traceback …\nrequests.exceptions.JSONDecodeError: Expecting value: line 1", None, "cannot be reached"),
        ("/venv/bin/python: No module named pip_audit", 1, "pip-audit: /venv/bin/python: No module named pip_audit"),
        ("ERROR:pip_audit._cli:invalid requirements input: a.lock", 1, "invalid requirements input: a.lock"),
        ("", 1, "pip-audit: nothing"),
    ],
)
def test_no_answer(script: ModuleType, err: str, status: int | None, said: str) -> None:
    finding = script.finding_of("osv", 1, "", err)
    assert finding.status == status
    assert said in finding.said


def test_what_is_audited_is_what_is_installed(script: ModuleType) -> None:
    """run.lock has nothing that development.lock has not, and no other versions."""
    everything, run = (
        {line.split(" ")[0] for line in path.read_text().splitlines() if "==" in line}
        for path in (script.LOCK, script.LOCK.with_name("run.lock"))
    )
    assert run <= everything

"""The compiled wheel is the same program: tests of the gateway, claiming and what they stand on, run against it."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
HOOK: dict[str, Any] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
MODULES: list[str] = HOOK["modules"]

SAME = """
    tests/claiming tests/domain/test_codes.py
    tests/hotstore/test_claim_limits.py tests/hotstore/test_claim_machine.py tests/hotstore/test_claim_refusals.py
    tests/gateway/test_claims.py tests/gateway/test_crowd.py tests/gateway/test_every_refusal.py
    tests/gateway/test_fuzz.py tests/gateway/test_lane.py tests/gateway/test_lane_faults.py
    tests/gateway/test_lane_plain.py tests/gateway/test_rates.py tests/gateway/test_refusals.py
    tests/gateway/test_request_ids.py tests/gateway/test_ticketing.py tests/gateway/test_tickets.py
    tests/gateway/test_vanishing.py tests/gateway/test_watching.py
"""
"""What passes through compiled modules, as much of it as a minute holds. The rest of tests/gateway, above all patience
and tracing, is for whoever changes the list of modules to run once: by the same command, with other files."""
LEFT_OUT = ("test_a_claim_that_was_lost_with_its_epoch_was_not_acknowledged",)
"""Puts a function in the place of a method of one desk, which an object of a compiled class does not let happen."""


@pytest.mark.debian
def test_the_compiled_wheel_is_the_same_program(tmp_path: Path) -> None:
    package = tmp_path / "package"
    build = [sys.executable, "-P", "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    _run(build, HATCH_BUILD_HOOK_ENABLE_CUSTOM="true", COMPILE_LEVEL="0")
    (wheel,) = tmp_path.glob("dropwave-*-cp3*.whl")
    _run([sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--target", str(package), str(wheel)])
    names = [module.removesuffix(".py").replace("/", ".") for module in MODULES]
    _run(
        [
            sys.executable, "-P", "-c",
            "import sys, importlib\n"
            "for name in sys.argv[1:]: assert importlib.import_module(name).__file__.endswith('.so'), name",
            *names,
        ],
        PYTHONPATH=str(package),
    )  # fmt: skip
    assert not list((ROOT / "engine").rglob("*.so")), "beside its source it would be imported instead of it"
    left_out = " and ".join(f"not {name}" for name in LEFT_OUT)
    said = _run(
        [
            sys.executable, "-P", "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-p", "no:cacheprovider",
            "-o", f"pythonpath={package} .", "-k", left_out, *SAME.split(),
        ],
        PYTHONPATH=str(package),
    )  # fmt: skip
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None, said
    assert int(passed[1]) > 300


def _run(command: list[str], **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TEST_WHOLE"))}
    done = subprocess.run(
        command, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-4_000:]
    return done.stdout


def test_no_compiled_class_says_more_than_its_bases() -> None:
    """mypyc loses what else a class line says, without a word: `frozen=True` of a Struct, say (engine/frozen.py)."""
    for module in MODULES:
        for node in ast.walk(ast.parse((ROOT / module).read_text("utf-8"))):
            assert not (isinstance(node, ast.ClassDef) and node.keywords), f"{module}:{node.lineno}: {node.name}"


def test_what_is_compiled_with_is_what_is_locked() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(HOOK["dependencies"]) <= {*extras["dev"], *extras["build"]}


def test_nothing_is_compiled_unless_it_is_asked_for() -> None:
    assert HOOK["enable-by-default"] is False

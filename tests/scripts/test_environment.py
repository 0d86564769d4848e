"""The scripts on machines that lack something: one clear line with the way out, and exit status 3.

A machine is a PATH here: the ordinary tools of the system, and programs that answer as those of such a machine would.
The scripts run in a copy of their files, so nothing touches the checkout's own .venv.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = " ".join(
    line.split("#")[0].strip()
    for line in (ROOT / "scripts" / "debian-packages").read_text("utf-8").splitlines()
    if line.split("#")[0].strip()
)
TOOLS = [
    "awk",
    "basename",
    "bash",
    "cat",
    "cp",
    "df",
    "dirname",
    "env",
    "flock",
    "grep",
    "head",
    "id",
    "mkdir",
    "paste",
    "rm",
]
TOOLS += ["sed", "sh", "sha256sum", "tail", "tr"]

PYTHON = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
    *"sys.exit(sys.version_info"*) exit "${TOO_OLD:-0}" ;;
    *"import venv, ensurepip"*) exit "${NO_VENV:-0}" ;;
    *platform*) echo "${SAYS:-3.11.2}" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip "*) printf '%s\\n' "$PIP_SAYS"; exit "${PIP_STATUS:-0}" ;;
    "-m engine "*|"-m pytest "*|"-m loadtests."*) exit "${ENDS_WITH:-0}" ;;
esac
"""


class Machine:
    """A checkout and a PATH."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "check out"  # a space in a path is nothing special
        self.programs = folder / "programs"
        self.calls = folder / "calls"
        self.checkout.mkdir()
        self.programs.mkdir()
        for name in ("scripts", "requirements"):
            shutil.copytree(ROOT / name, self.checkout / name)
        shutil.copy(ROOT / "pyproject.toml", self.checkout)
        for tool in TOOLS:
            found = shutil.which(tool)
            if found:
                (self.programs / tool).symlink_to(found)

    def has(self, name: str, text: str) -> None:
        """Put a program on the PATH."""
        program = self.programs / name
        program.unlink(missing_ok=True)
        program.write_text(text)
        program.chmod(0o755)

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts there, from somewhere else."""
        self.calls.write_text("")
        return subprocess.run(
            [self.checkout / "scripts" / script, *arguments],
            env={"PATH": str(self.programs), "CALLS": str(self.calls), **environment},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

    def refusal(self, script: str, *arguments: str, **environment: str) -> str:
        """The one line with which a script gives up."""
        done = self.run(script, *arguments, **environment)
        assert done.returncode == 3, done.stderr
        lines = [line for line in done.stderr.splitlines() if not line.startswith("Installing ")]
        assert len(lines) == 1, done.stderr
        return lines[0]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def equipped(machine: Machine) -> Machine:
    """A machine with everything that is needed."""
    machine.has("python3", PYTHON)
    return machine


SCRIPTS = pytest.mark.parametrize("script", ["demo", "test", "check", "fuzz"])


@SCRIPTS
def test_no_python(machine: Machine, script: str) -> None:
    line = machine.refusal(script)
    assert line.startswith(
        f"{script}: Python 3.11 or newer is needed, and none was found: install one (Debian 12: apt-get"
    )


@SCRIPTS
def test_python_too_old(equipped: Machine, script: str) -> None:
    line = equipped.refusal(script, TOO_OLD="1", SAYS="3.9.2")
    assert "Python 3.11 or newer is needed, and only 3.9.2 was found: install one" in line
    assert "or name one: PYTHON=" in line


def test_a_newer_python_beside_an_old_one_is_found(machine: Machine) -> None:
    machine.has("python3", PYTHON.replace("${TOO_OLD:-0}", "1"))
    machine.has("python3.13", PYTHON)
    assert machine.run("demo").returncode == 0


def test_a_python_can_be_named(machine: Machine) -> None:
    elsewhere = machine.checkout / "python"
    elsewhere.write_text(PYTHON)
    elsewhere.chmod(0o755)
    assert machine.run("demo", PYTHON=str(elsewhere)).returncode == 0


@SCRIPTS
def test_no_venv_module(equipped: Machine, script: str) -> None:
    line = equipped.refusal(script, NO_VENV="1")
    assert "the venv module of " in line
    assert "is missing: apt-get install python3-venv (Debian, Ubuntu), then start this again" in line


def test_not_enough_disk(equipped: Machine) -> None:
    equipped.has(
        "df",
        "#!/bin/sh\necho 'Filesystem 1024-blocks Used Available Capacity Mounted on'\necho '/dev/a 9 9 51200 99% /'\n",
    )
    line = equipped.refusal("demo")
    assert "no room for the installation: 700 MB are needed under " in line
    assert ", 50 MB are free. Free some, or clone to another disk" in line


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "is full. Free some, and",
        ),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
            "pip cache purge, then start this again",
        ),
        ("ERROR: something new", "pip failed: ERROR: something new (log: "),
    ],
)
def test_a_failed_installation(equipped: Machine, said: str, told: str) -> None:
    assert told in equipped.refusal("demo", PIP_SAYS=said, PIP_STATUS="1")


def test_a_failed_installation_is_tried_again(equipped: Machine) -> None:
    equipped.refusal("demo", PIP_SAYS="ERROR", PIP_STATUS="1")
    assert equipped.run("demo").returncode == 0
    assert "-m pip install" in equipped.calls.read_text()


def test_what_was_installed_is_not_installed_again(equipped: Machine) -> None:
    installs: Callable[[], int] = lambda: equipped.calls.read_text().count("-m pip install")  # noqa: E731
    equipped.run("demo")
    assert installs() == 2  # the locked packages, then the program itself
    equipped.run("demo")
    assert equipped.calls.read_text().splitlines()[0].startswith("-m engine rehearse ")
    equipped.run("test")
    assert installs() == 2
    equipped.run("test")
    assert installs() == 0
    with (equipped.checkout / "requirements" / "run.lock").open("a") as lock:
        lock.write("# changed\n")
    equipped.run("demo")
    assert installs() == 2


def test_the_demo_is_one_rehearsal_and_ends_as_it_ends(equipped: Machine) -> None:
    done = equipped.run("demo", "--seed", "7", ENDS_WITH="1")
    assert done.returncode == 1
    campaign = equipped.checkout / "deploy" / "campaigns" / "hubei-2021.yaml"
    wanted = f"-m engine rehearse {campaign} --wave hubei-2021-r1-b1 --users 30000 --opens-in 10s --seed 7"
    assert equipped.calls.read_text().splitlines()[-1] == wanted


def test_the_fuzz_run_ends_as_it_ends(equipped: Machine) -> None:
    assert equipped.run("fuzz", "--seed", "7", ENDS_WITH="1").returncode == 1
    assert equipped.calls.read_text().splitlines()[-1] == "-m loadtests.fuzz --seed 7"


def test_the_load_test_ends_as_it_ends(equipped: Machine) -> None:
    assert equipped.run("load", "drop", "-u", "2000", ENDS_WITH="1").returncode == 1
    assert equipped.calls.read_text().splitlines()[-1] == "-m loadtests.swarm drop -u 2000"


def test_the_test_run_leaves_debian_out_and_passes_options_on(equipped: Machine) -> None:
    done = equipped.run("test", "tests/embedded", "-x", ENDS_WITH="5")
    assert done.returncode == 5
    assert (
        equipped.calls.read_text().splitlines()[-1]
        == "-m pytest -n 3 --dist worksteal --durations=10 tests/embedded -x"
    )


NOT_INSTALLED = "#!/bin/sh\nexit 1\n"


def test_full_names_the_debian_packages_where_it_may_not_install_them(equipped: Machine) -> None:
    equipped.has("dpkg-query", NOT_INSTALLED)
    equipped.has("apt-get", "#!/bin/sh\nexit 1\n")
    equipped.has("id", "#!/bin/sh\necho 1000\n")
    line = equipped.refusal("test", "--full")
    assert line == f"test: --full needs Debian packages: sudo apt-get install {PACKAGES}, or leave out --full"


def test_full_names_them_where_there_is_no_debian(equipped: Machine) -> None:
    line = equipped.refusal("test", "--full")
    assert line.startswith(f"test: --full needs programs that Debian packages as: {PACKAGES}. Install them")


def test_full_tells_what_apt_said(equipped: Machine) -> None:
    equipped.has("dpkg-query", NOT_INSTALLED)
    equipped.has("id", "#!/bin/sh\necho 0\n")
    equipped.has("apt-get", "#!/bin/sh\necho 'E: Unable to locate package redis-tools' >&2\nexit 100\n")
    line = equipped.refusal("test", "--full")
    assert f"apt-get could not install {PACKAGES}: E: Unable to locate package redis-tools (log: " in line


def test_full_runs_every_test_once_all_is_there(equipped: Machine) -> None:
    equipped.has("dpkg-query", "#!/bin/sh\nprintf installed\n")
    assert equipped.run("test", "--full", "-x").returncode == 0
    assert equipped.calls.read_text().splitlines()[-1] == "-m pytest -n 2 --dist worksteal --durations=10 -m  -x"


def test_check_looks_at_everything_and_tells_whether_all_was_fine(equipped: Machine) -> None:
    assert equipped.run("check").returncode == 0
    assert [
        call for call in equipped.calls.read_text().splitlines() if call.startswith(("-m ruff", "-m mypy", "-m pytest"))
    ] == [
        "-m ruff format --check .",
        "-m ruff check .",
        "-m mypy",
        "-m pytest -n 3 --dist worksteal --durations=10",
    ]
    assert any(call.endswith("/scripts/audit_packages.py") for call in equipped.calls.read_text().splitlines())
    assert equipped.run("check", ENDS_WITH="1").returncode == 1


@pytest.mark.debian
def test_shellcheck_finds_nothing() -> None:
    scripts = [
        path
        for path in (ROOT / "scripts").iterdir()
        if path.is_file() and path.read_text().startswith(("#!/usr/bin/env bash", "# shellcheck"))
    ]
    assert len(scripts) > 4
    done = subprocess.run(
        ["shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *scripts, ROOT / ".ci" / "run"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout

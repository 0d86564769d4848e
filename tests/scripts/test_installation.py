"""The installation itself: what pip really says where it cannot go on, what is locked, and what a wheel carries."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pip
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


@pytest.fixture(scope="module")
def fresh_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose .venv has pip and nothing else."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, checkout / name)
    shutil.copy(ROOT / "pyproject.toml", checkout)
    venv.create(checkout / ".venv")  # pip is lent: to unpack one of its own takes seconds
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (checkout / ".venv" / "lib" / version / "site-packages" / "pip").symlink_to(Path(pip.__file__).parent)
    return checkout


def refusal(checkout: Path, **environment: str) -> str:
    """The line with which scripts/demo gives up; pip knows of no other index or folder than the ones given."""
    done = subprocess.run(
        [checkout / "scripts" / "demo"],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PIP_CONFIG_FILE": "/dev/null", "PIP_RETRIES": "0", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    return done.stderr.splitlines()[-1]


def test_offline(fresh_environment: Path) -> None:
    line = refusal(fresh_environment, PIP_INDEX_URL="http://127.0.0.1:9/simple/")
    assert line.startswith(
        "demo: the packages cannot be downloaded: connect this machine, or name an index that it reaches"
    )


def test_no_package_for_this_machine(fresh_environment: Path) -> None:
    line = refusal(fresh_environment, PIP_NO_INDEX="1")
    first = re.search(r"^(\S+==\S+)", LOCKS[1].read_text(), re.MULTILINE)
    assert first
    assert line.startswith(f"demo: no ready-made package of {first[1]} for Python 3.")
    assert "and nothing is compiled here: take CPython 3.11 or 3.12 on Linux or macOS" in line


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_everything_is_locked_to_one_version_with_its_hashes(lock: Path) -> None:
    text = lock.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in lines:
        assert re.match(r"^[a-z0-9.-]+==[^\s*]+\s.*--hash=sha256:[0-9a-f]{64}", line), line
    assert "://" not in text
    assert "/" not in "".join(re.sub(r"--hash=\S+", "", line) for line in lines)


def test_every_requirement_is_in_its_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    development = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    run = [*project["dependencies"], *extras["embedded"], *extras["build"]]
    for name, requirements in (("development", development), ("run", run)):
        locked = set(
            re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements" / f"{name}.lock").read_text(), re.MULTILINE)
        )
        wanted = {re.split(r"[\[<>=;~! ]", line)[0].lower().replace(".", "-") for line in requirements}
        assert wanted <= locked


def test_the_lock_holds_what_other_supported_machines_need() -> None:
    """Each Python from 3.11.0 on, Linux and macOS, x86-64 and ARM: not only the machine that the lock was made on."""
    places = [
        {"python_version": full.rpartition(".")[0], "python_full_version": full, "platform_machine": machine}
        | {"sys_platform": system.lower(), "platform_system": system, "extra": ""}
        for full in ("3.11.0", "3.11.2", "3.12.1", "3.13.1", "3.14.0")
        for system, machine in (("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64"))
    ]
    locked = set(re.findall(r"^([a-z0-9.-]+)==", LOCKS[0].read_text(), re.MULTILINE))
    for distribution in importlib.metadata.distributions():
        if canonicalize_name(distribution.metadata["Name"]) not in locked:
            continue
        for requirement in map(Requirement, distribution.requires or []):
            if not requirement.marker or any(requirement.marker.evaluate(place) for place in places):
                assert canonicalize_name(requirement.name) in locked, (
                    f"{distribution.metadata['Name']} needs {requirement}"
                )


def test_both_locks_name_the_same_versions() -> None:
    development, run = (dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock.read_text(), re.MULTILINE)) for lock in LOCKS)
    assert run.items() <= development.items()


def test_the_wheel_carries_scripts_statements_and_configurations(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("dropwave-*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())
    wanted = [path.relative_to(ROOT) for kind in ("lua", "sql") for path in (ROOT / "engine").rglob(f"*.{kind}")]
    assert wanted
    assert {str(path) for path in wanted} <= carried
    for name in ("redis.conf", "postgresql.conf", "campaigns/hubei-2021.yaml"):
        assert f"engine/deploy/{name}" in carried
    assert not [name for name in carried if name.startswith("tests/")]

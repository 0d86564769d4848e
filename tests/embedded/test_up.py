"""`dropwave up` as a person meets it: a program that is started, answers, is interrupted, and leaves nothing behind."""

import itertools
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from engine.embedded.running import Running, find_running
from tests.support.processes import arguments_of, kill_all, processes_in
from tests.support.waiting import wait_until_sync

ROOT = Path(__file__).parents[2]
ENDS_WITHIN_S = 20.0
_NUMBERS = itertools.count(1)


class Up:
    """One run of the command, in a session of its own: a signal to its group is a Ctrl-C in its terminal."""

    def __init__(self, folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.data = folder / "data"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DROPWAVE_")}
        elsewhere = (
            folder / "elsewhere"
        )  # with something of the same name in it, which must not be taken for the program
        (elsewhere / "engine").mkdir(parents=True, exist_ok=True)
        (elsewhere / "engine" / "__init__.py").write_text("raise ImportError('not this one')\n")
        self._said = (folder / f"said-{next(_NUMBERS)}").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine", "up", "--data", str(self.data), "--port", "0", *options],
            env=inherited | {"PYTHONPATH": str(ROOT)} | dict(environment or {}),
            cwd=elsewhere,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def said(self) -> str:
        """All that it printed until now."""
        return Path(self._said.name).read_text()

    def ready(self) -> "Up":
        wait_until_sync(lambda: "dropwave is ready at" in self.said or self.process.poll() is not None, 30)
        assert self.process.poll() is None, self.said
        return self

    def interrupt(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def status(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(ENDS_WITHIN_S)

    def stopped(self) -> list[str]:
        """What it said to have stopped, in order."""
        return re.findall(r"^stopped: (.*)$", self.said, re.MULTILINE)

    def pids(self, role: str) -> set[int]:
        return {pid for pid in processes_in(self.data) if arguments_of(pid).strip().endswith(f"-m engine {role}")}

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._said.close()
        wait_until_sync(lambda: not processes_in(self.data), what="a killed `up` leaves processes behind")


@pytest.fixture
def start(folder: Path) -> Iterator[type[Up]]:
    """Starts `up` on this test's folder; ends what a failed test left running."""
    runs: list[Up] = []

    def begin(*options: str, environment: Mapping[str, str] | None = None) -> Up:
        runs.append(Up(folder, *options, environment=environment))
        return runs[-1]

    yield begin  # type: ignore[misc]  # called like the class, without the folder
    for run in runs:
        run.close()


def get(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status, answer.read()


def is_file_for_others(path: Path) -> bool:
    """Whether another user may do anything with it; Postgres takes some away while one looks."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o077)


IN_ORDER = ["gateway-1, gateway-2", "writer", "steward", "postgres", "redis"]


def test_a_run_from_start_to_ctrl_c(start, folder: Path) -> None:
    up = start("--workers", "2").ready()
    running = find_running(up.data)
    assert isinstance(running, Running)
    assert running.pid == up.process.pid
    assert get(f"{running.url}/healthz")[0] == 200

    # What belongs to it is private, and no secret is among anybody's arguments.
    assert (up.data / "up.json").stat().st_mode & 0o777 == 0o600
    assert (up.data / "secret").stat().st_mode & 0o777 == 0o600
    assert not [path for path in up.data.rglob("*") if is_file_for_others(path)]
    secrets = [(up.data / "secret").read_text().strip(), running.redis_url, running.database_url]
    for pid in processes_in(up.data) | {up.process.pid}:
        assert not [secret for secret in secrets if secret in arguments_of(pid)]
    assert not [secret for secret in secrets if secret in up.said]

    # Both gateways listen on the one port that was drawn.
    assert len(up.pids("gateway")) == 2
    assert all(f"gateway-{no}: Redis 127.0.0.1:" in up.said for no in (1, 2))

    # A second one on the same folder is refused, and the first goes on.
    second = start("--workers", "2")
    assert second.status() == 3
    assert (
        f"{up.data} is in use by process {up.process.pid}: stop that one, or name another folder with --data"
        in second.said
    )

    up.interrupt()
    assert up.status() == 0
    assert up.stopped() == IN_ORDER
    assert not processes_in(up.data)
    assert not (up.data / "up.json").exists()
    assert find_running(up.data) is None


def test_kill_minus_nine_leaves_no_process_and_the_next_run_goes_on(start) -> None:
    up = start().ready()
    first = json.loads((up.data / "up.json").read_text())
    up.process.kill()
    up.process.wait()
    wait_until_sync(lambda: not processes_in(up.data))
    assert find_running(up.data) is None, "a file that was left by a crash is not believed"

    again = start().ready()
    second = find_running(again.data)
    assert second
    assert second.pid != first["pid"]
    assert second.redis_url == first["redis_url"]
    again.process.send_signal(signal.SIGTERM)
    assert again.status() == 0


def test_a_taken_port_is_told_before_anything_is_started(start) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        up = start("--port", str(port))
        assert up.status() == 3
    assert (
        f"dropwave: port {port} is taken by another program: name another with --port (0 draws a free one)" in up.said
    )
    assert not (up.data / "redis").exists()


def test_where_a_role_dies_everything_ends_and_the_reason_is_told(start) -> None:
    up = start().ready()
    kill_all(up.pids("writer"))
    assert up.status() == 3
    log = up.data / "logs" / "writer.log"
    assert f"dropwave: writer ended: killed by SIGKILL (log: {log})\n" in up.said
    assert log.read_text().splitlines()[-1] in up.said
    assert not processes_in(up.data)


def test_an_interrupted_start_leaves_nothing_behind(start) -> None:
    up = start()
    wait_until_sync(lambda: "Postgres 18 at" in up.said)
    up.interrupt()
    assert up.status() == 0
    assert "ready at" not in up.said
    assert not processes_in(up.data)


def test_a_second_ctrl_c_does_not_wait_for_what_hangs(start) -> None:
    up = start().ready()
    (writer,) = up.pids("writer")
    os.kill(writer, signal.SIGSTOP)
    up.interrupt()
    wait_until_sync(lambda: up.stopped() == ["gateway-1"])
    up.interrupt()
    assert up.process.wait(5) == 0
    assert up.stopped() == ["gateway-1", *IN_ORDER[1:]]
    assert not processes_in(up.data)


def test_servers_that_were_named_are_neither_started_nor_stopped(start, redis_url: str, database_url: str) -> None:
    environment = {"DROPWAVE_REDIS_URL": redis_url, "DROPWAVE_DATABASE_URL": database_url}
    up = start(environment=environment).ready()
    assert "Redis at 127.0.0.1:" in up.said
    assert redis_url not in up.said
    up.interrupt()
    assert up.status() == 0
    assert up.stopped() == ["gateway-1", "writer", "steward"]
    assert not (up.data / "redis").exists()
    for address in (redis_url, database_url):
        port = int(re.findall(r":(\d+)/", address)[0])
        socket.create_connection(("127.0.0.1", port), 5).close()

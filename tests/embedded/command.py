"""`dropwave up` as a program that a person started in a terminal."""

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import arguments_of, kill_all, processes_in
from tests.support.waiting import wait_until_sync

ROOT = Path(__file__).parents[2]
ENDS_WITHIN_S = 20.0
_NUMBERS = itertools.count(1)


class Up:
    """One run of the command, in a session of its own: a signal to its group is a Ctrl-C in its terminal."""

    def __init__(self, folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.data = folder / "data"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("DROPWAVE_")}
        self.environment |= {"PYTHONPATH": str(ROOT)} | dict(environment or {})
        # With something of the same name in it, which must not be taken for the program.
        self.elsewhere = folder / "elsewhere"
        (self.elsewhere / "engine").mkdir(parents=True, exist_ok=True)
        (self.elsewhere / "engine" / "__init__.py").write_text("raise ImportError('not this one')\n")
        self._said = (folder / f"said-{next(_NUMBERS)}").open("w")
        self.process = subprocess.Popen(
            self._command("up", "--port", "0", *options),
            env=self.environment,
            cwd=self.elsewhere,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _command(self, name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "engine", name, *arguments, "--data", str(self.data)]

    def command(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Another command on the same installation, run to its end."""
        return subprocess.run(
            self._command(name, *arguments),
            env=self.environment,
            cwd=self.elsewhere,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
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

    def status(self, within_s: float = ENDS_WITHIN_S) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(within_s)

    def stopped(self) -> list[str]:
        """What it said to have stopped, in order."""
        return re.findall(r"^stopped: (.*)$", self.said, re.MULTILINE)

    def restarted(self) -> list[str]:
        """What it said to run again, in order."""
        return re.findall(r"^(\S+) runs again, [\d.]+ s after its death$", self.said, re.MULTILINE)

    def pids(self, role: str) -> set[int]:
        """Of a role, a server included; of Postgres the one process that leads the others."""
        ends = {
            "redis": lambda said: "redis-server" in said.split()[0],
            "postgres": lambda said: "/postgres -D" in said,
        }.get(role, lambda said: said.strip().endswith(f"-m engine {role}"))
        return {pid for pid in processes_in(self.data) if ends(arguments_of(pid))}

    def kill(self, role: str) -> None:
        """kill -9 of one process of that role, and its end."""
        pid = min(self.pids(role))
        kill_all({pid})
        wait_until_sync(lambda: pid not in processes_in(self.data))

    def close(self) -> None:
        """End what a failed test left running."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._said.close()
        wait_until_sync(lambda: not processes_in(self.data), what="a killed `up` leaves processes behind")

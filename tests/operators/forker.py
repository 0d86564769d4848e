"""Starts this program again and again in a few milliseconds: a process that has read its modules forks for each start.

Every child is a process of its own with its own connections, and runs what `python -m engine …` would run. It can be
killed without anybody else noticing.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def serve() -> None:
    """The process that forks: an order a line on stdin; it answers with the child's pid, later with its end."""
    import click

    import engine.cli

    program = engine.cli.dropwave
    for name in program.list_commands(click.Context(program)):
        program.get_command(click.Context(program), name)  # its modules are read once, here
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
            engine.cli.main()
            sys.stdout.flush()
            os._exit(0)
        print(pid, flush=True)  # noqa: T201 - that is the answer
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


def _become(order: dict[str, object]) -> None:
    output = os.open(str(order["output"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(order["environment"])  # type: ignore[arg-type]  # it comes from Forker.start
    sys.argv = ["dropwave", *order["arguments"]]  # type: ignore[misc]  # likewise


class Forker:
    """Orders children, one at a time."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "output"
        folder.mkdir(parents=True, exist_ok=True)
        code = "from tests.operators.forker import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = 0

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
        """Start `dropwave ARGUMENTS`; its pid."""
        assert self._process.stdin is not None
        order = {"arguments": list(arguments), "environment": dict(environment), "output": str(self.output)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self.pid = int(self._line())
        return self.pid

    def kill(self) -> None:
        """kill -9 to the child that was started last; its end is not told yet, so its pid is its own."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Wait until the child has ended; its exit status, below zero: the signal that ended it."""
        return int(self._line())

    def close(self) -> None:
        """End the process that forks."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

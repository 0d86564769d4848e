"""The command line, run inside the test: what it says, and what it ends with."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from engine.cli import main


class Said(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Run = Callable[..., Said]


def command_runner(
    database_url: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """A function that runs `dropwave` with these arguments on that ledger. Not from within an event loop."""
    monkeypatch.setenv("DROPWAVE_DATABASE_URL", database_url)
    monkeypatch.setenv("DROPWAVE_DATA", str(data))

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["dropwave", *map(str, arguments)])
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        return Said(status, *capsys.readouterr())

    return run

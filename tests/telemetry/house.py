"""Roles as processes of their own, as in production: what they log, and what their metrics say."""

import asyncio
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from engine.embedded.role import PROGRAM
from engine.embedded.up import environment_of
from engine.settings import Settings
from tests.support.waiting import wait_until_sync

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Role:
    """One process; its output is kept whole."""

    def __init__(self, role: str, settings: Settings, metrics_folder: str = "") -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the role
        self.settings = settings
        environment = environment_of(settings) | {"PROMETHEUS_MULTIPROC_DIR": metrics_folder}
        self.process = subprocess.Popen(
            [*PROGRAM, role], env=environment, stdin=subprocess.DEVNULL, stdout=self._said, stderr=subprocess.STDOUT
        )

    @property
    def said(self) -> str:
        self._said.seek(0)
        return self._said.read()

    def ready(self) -> Self:
        wait_until_sync(lambda: '"ready"' in self.said or self.process.poll() is not None, 30)
        assert self.process.poll() is None, self.said
        return self

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._said.close()


class House:
    """Starts roles on the stores of a test."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.roles: list[Role] = []

    def start(self, role: str, *, shares: bool = False, **changes: object) -> Role:
        """Start one. `shares`: its figures with the others that share."""
        metrics = self.folder / "metrics"
        started = Role(role, replace(self.settings, **changes), str(metrics) if shares else "")
        self.roles.append(started)
        return started

    def stop(self, *roles: Role) -> None:
        """End them in order, all at the same time."""
        for role in roles:
            role.process.terminate()
        for role in roles:
            assert role.process.wait(30) == 0

    @property
    def logs(self) -> str:
        return "\n".join(role.said for role in self.roles)


@contextmanager
def running_house(settings: Settings, folder: Path) -> Iterator[House]:
    """Whatever a failed test leaves running is ended."""
    house = House(settings, folder)
    try:
        yield house
    finally:
        for role in house.roles:
            role.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return str(answer.read().decode())


async def figures_at(port: int) -> Figures:
    """What `/metrics` says there, by name and labels; process numbers are left out."""
    text = await asyncio.to_thread(get, port, "/metrics")
    return {
        (sample.name, frozenset((name, value) for name, value in sample.labels.items() if name != "pid")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figure(figures: Figures, name: str, **labels: str) -> float:
    """One figure; KeyError where there is none."""
    return figures[name, frozenset(labels.items())]

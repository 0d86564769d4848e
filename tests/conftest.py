"""Fixtures that every test may ask for. Servers are real ones (tests/support/servers.py).

TEST_LOOP   uvloop (default), asyncio or debug: the event loop of this run
TEST_SEED   repeats the random choices of a run; the header of each run tells its seed
TEST_FOLDER where the servers keep their data, instead of in memory

(Not DROPWAVE_*: whatever begins so is a setting, and programs that a test starts would refuse it.)
"""

import logging
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import structlog

from engine.settings import Settings
from tests.support.loops import LOOPS
from tests.support.rights import RIGHTS
from tests.support.servers import TestServers

if TYPE_CHECKING:
    from engine.hotstore.store import HotStore
    from engine.ledger.database import Ledger

pytest_plugins = ["tests.support.reached"]

_BEGAN_S = time.monotonic()
_SEED = int(os.environ.get("TEST_SEED") or random.SystemRandom().randrange(2**32))
os.environ["TEST_SEED"] = str(_SEED)  # the processes that share a run share its seed

# A machine that is busy with something else must not fail a test; what failed is printed as something to paste.
hypothesis.settings.register_profile("dropwave", deadline=None, print_blob=True)
hypothesis.settings.load_profile("dropwave")


def pytest_report_header() -> list[str]:
    return [f"event loop: {_loop_name()}, seed: {_SEED} (TEST_SEED={_SEED} repeats it)"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much of its time the run took; no test fails for it, because machines differ."""
    budget_s = os.environ.get("TEST_BUDGET_S")
    if budget_s:
        terminalreporter.write_line(
            f"{time.monotonic() - _BEGAN_S:.0f} s of the {budget_s} s that tests/README.md grants"
        )


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], object]]:
    """Every test under the loop of the run; those marked `loops` under each."""
    if item.get_closest_marker("loops"):
        return dict(LOOPS)
    return {_loop_name(): LOOPS[_loop_name()]}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs rights that this run lacks; the summary counts it as deselected."""
    lacking = {name for name, has in RIGHTS.items() if not has()}
    without = [item for item in items if any(item.get_closest_marker(name) for name in lacking)]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


def _loop_name() -> str:
    return os.environ.get("TEST_LOOP") or "uvloop"


@pytest.fixture
def seed() -> int:
    """The seed of this run: give it to every random.Random of a test."""
    return _SEED


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that runs inside a test sets logs up for a stderr that ends with the test."""
    root, config = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**config)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def servers() -> Iterator[TestServers]:
    """The servers of this run; where several processes share it, each has its own."""
    running = TestServers()
    yield running
    running.close()


@pytest.fixture
def redis_url(servers: TestServers) -> str:
    """Address of a Redis that is empty when the test begins."""
    return servers.empty_redis()


@pytest.fixture
def database_url(servers: TestServers) -> Iterator[str]:
    """Address of a migrated, empty ledger of this test's own."""
    url = servers.new_database()
    yield url
    servers.drop_database(url)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings for tests: a data folder of their own, any free port, short pauses; they name no server."""
    return Settings(
        data=str(tmp_path / "data"),
        port=0,
        secret="5ec7e7" * 10 + "5ec7",
        board_refresh_ms=20,
        steward_pass_ms=20,
        settle_gather_ms=20,
    )


@pytest.fixture
async def store(redis_url: str, settings: Settings) -> "AsyncIterator[HotStore]":
    """A connected hot store, empty."""
    from engine.hotstore.store import HotStore

    connected = await HotStore.connect(redis_url, settings)
    yield connected
    await connected.close()


@pytest.fixture
async def ledger(database_url: str, settings: Settings) -> "AsyncIterator[Ledger]":
    """A connected ledger, migrated and empty."""
    from engine.ledger.database import Ledger

    connected = await Ledger.connect(database_url, settings)
    yield connected
    await connected.close()

"""Servers of a test's own, and a word that is kept in them."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from engine.embedded.postgres import EmbeddedPostgres
from engine.embedded.redis import EmbeddedRedis
from engine.embedded.server import EmbeddedServer
from tests.embedded.command import Up
from tests.support.servers import servers_folder

KINDS: dict[str, Callable[[Path], EmbeddedServer]] = {"redis": EmbeddedRedis, "postgres": EmbeddedPostgres}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A fresh folder, removed afterwards."""
    made = servers_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Up]]:
    """Starts `up` on this test's folder; ends what a failed test left running."""
    runs: list[Up] = []

    def begin(*options: str, environment: Mapping[str, str] | None = None) -> Up:
        runs.append(Up(folder, *options, environment=environment))
        return runs[-1]

    yield begin
    for run in reversed(runs):
        run.close()


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of server in turn."""
    return str(request.param)


@pytest.fixture
async def new_server(kind: str, folder: Path):
    """Makes servers on one folder, and stops those that a failed test left running."""
    made: list[EmbeddedServer] = []

    def make(kind_wanted: str = kind) -> EmbeddedServer:
        made.append(KINDS[kind_wanted](folder / "server"))
        return made[-1]

    yield make
    for server in made:
        await server.stop()


async def keep_word(url: str, word: str) -> None:
    """Have the server acknowledge one write."""
    if url.startswith("redis"):
        async with redis.asyncio.Redis.from_url(url) as client:
            await client.set("word", word)
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("create table if not exists words (word text)")
        await connection.execute("insert into words values ($1)", word)
    finally:
        await connection.close()


async def kept_word(url: str) -> str:
    """What `keep_word` wrote last."""
    if url.startswith("redis"):
        async with redis.asyncio.Redis.from_url(url) as client:
            return str((await client.get("word")).decode())
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("select word from words"))
    finally:
        await connection.close()

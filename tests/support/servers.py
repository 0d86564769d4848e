"""One real Redis and one real Postgres for a whole test run.

They are the embedded servers with the configuration of deploy/, not a faster one: the engine refuses an `ack` that its
servers cannot keep. What makes them fast is where their data lie: in memory, where there is enough of it, because
there fsync costs nothing.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import asyncpg
import redis

from engine.embedded.postgres import EmbeddedPostgres
from engine.embedded.redis import EmbeddedRedis
from engine.ledger.migrate import migrate
from engine.settings import Settings

T = TypeVar("T")
Preparation = Callable[[str, str], Coroutine[Any, Any, None]]
"""Makes something of an empty Redis and an empty, migrated ledger, whose addresses it gets; ends with no connection."""

_MEMORY = Path("/dev/shm")
_MEMORY_FREE_MIN = 2**30
"""Below this the data go to the disk: a container's /dev/shm often has 64 MB."""
_TEMPLATE = "dropwave_template"


class Prepared(NamedTuple):
    """Stores as a preparation left them: a database to copy, and Redis, key by key as DUMP has it."""

    database: str
    keys: list[tuple[bytes, bytes]]


def servers_folder() -> Path:
    """A fresh folder for servers; TEST_FOLDER names another place to make it in."""
    parent = os.environ.get("TEST_FOLDER", "")
    if not parent and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _MEMORY_FREE_MIN:
        parent = str(_MEMORY)
    return Path(tempfile.mkdtemp(prefix="dropwave-tests-", dir=parent or None))


class TestServers:
    """The servers of a run; each is started when the first test asks for it."""

    __test__ = False

    def __init__(self) -> None:
        self.folder = servers_folder()
        self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self._redis: EmbeddedRedis | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._admin: asyncpg.Connection | None = None
        self._numbers = itertools.count(1)
        self._prepared: dict[Preparation, Prepared] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop of the servers, beside the loops of the tests."""
        return self._runner.run(work)

    def empty_redis(self) -> str:
        """Address of the run's Redis, emptied."""
        if self._redis is None:
            self._redis = EmbeddedRedis(self.folder / "redis")
            self.run(self._redis.start())
        with redis.Redis.from_url(self._redis.url) as client:
            client.flushall()
        return self._redis.url

    def new_database(self) -> str:
        """Address of a database of its own: a copy of one that was migrated once."""
        if self._postgres is None:
            self._postgres = EmbeddedPostgres(self.folder / "postgres")
            self.run(self._postgres.start())
            self._admin = self.run(_connect(self._postgres.url))
            self._execute(f"create database {_TEMPLATE}")
            url = self._address(_TEMPLATE)
            self.run(migrate(url, Settings(database_url=url)))
        return self._copy(_TEMPLATE)

    def prepared(self, preparation: Preparation) -> tuple[str, str]:
        """Addresses of Redis and of a database, as that leaves empty ones: it runs once, what it leaves is copied."""
        if preparation not in self._prepared:
            redis_url, database_url = self.empty_redis(), self.new_database()
            self.run(preparation(redis_url, database_url))
            with redis.Redis.from_url(redis_url) as client:
                keys = [(key, client.dump(key)) for key in client.scan_iter()]
            self._prepared[preparation] = Prepared(database_url.rpartition("/")[2], keys)
        database, keys = self._prepared[preparation]
        redis_url = self.empty_redis()
        with redis.Redis.from_url(redis_url) as client, client.pipeline(transaction=False) as pipeline:
            for key, dumped in keys:
                pipeline.restore(key, 0, dumped)
            pipeline.execute()
        return redis_url, self._copy(database)

    def drop_database(self, url: str) -> None:
        """Remove a database, connections that a failed test left open included."""
        self._execute(f"drop database {url.rpartition('/')[2]} with (force)")

    def close(self) -> None:
        """Stop what was started, remove the data."""
        if self._admin is not None:
            self.run(self._admin.close())
        for server in (self._redis, self._postgres):
            if server is not None:
                self.run(server.stop())
        self._runner.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _copy(self, database: str) -> str:
        name = f"test_{next(self._numbers)}"
        self._execute(f"create database {name} template {database} strategy file_copy")
        return self._address(name)

    def _address(self, database: str) -> str:
        assert self._postgres is not None
        return self._postgres.url.rpartition("/")[0] + "/" + database

    def _execute(self, statement: str) -> None:
        assert self._admin is not None
        self.run(self._admin.execute(statement))


async def _connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url)

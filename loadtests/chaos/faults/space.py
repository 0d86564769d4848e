"""No room: memory of Redis, and the disk under it."""

import asyncio
from contextlib import suppress
from pathlib import Path

import asyncpg

from loadtests.chaos.faults.registry import Scene, fault
from loadtests.chaos.servers import Servers
from loadtests.chaos.stores import kill_server


@fault("redis memory full", restarts="redis")
async def memory_full(scene: Scene) -> None:
    """Redis reaches `maxmemory` and refuses writes; then somebody gives it more."""
    redis = scene.servers.redis
    await redis.command("CONFIG", "SET", "maxmemory", "1mb")
    await scene.pause(0.5, 2.5)
    await redis.command("CONFIG", "SET", "maxmemory", 0)


@fault("redis disk full", "logged", needs="mounts", restarts="redis")
async def disk_full(scene: Scene) -> None:
    """Nothing can be appended: under `always` Redis ends by itself. Somebody makes room and starts it again."""
    redis = scene.servers.redis
    assert redis.folder.is_mount(), "not a disk of its own: nobody else's is filled"
    filler = redis.folder / "filler"
    await asyncio.to_thread(_fill, filler)
    await scene.pause(0.5, 2.0)
    await kill_server(redis)
    filler.unlink()
    await scene.servers.revive(redis)


@fault("postgres disk full", needs="mounts", restarts="postgres")
async def postgres_disk_full(scene: Scene) -> None:
    """Postgres refuses to grow a table, or ends because it cannot write its log. Somebody makes room; where it has
    ended it is started again, the rest goes by itself."""
    postgres = scene.servers.postgres
    assert postgres.folder.is_mount(), "not a disk of its own: nobody else's is filled"
    filler = postgres.folder / "filler"
    await asyncio.to_thread(_fill, filler)
    await scene.pause(1.0, 3.0)
    filler.unlink()
    while not await _answers(scene.servers):
        if not postgres.child.runs:
            await kill_server(postgres)
            await scene.servers.revive(postgres)
        await asyncio.sleep(0.05)


async def _answers(servers: Servers) -> bool:
    try:
        return bool(await servers.ask_ledger("select 1"))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


def _fill(path: Path) -> None:
    """Write until there is no room: for much, then for little."""
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 4_096):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))

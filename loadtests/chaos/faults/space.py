"""No room: memory of Redis, and the disk under it."""

import asyncio
from pathlib import Path

from loadtests.chaos.faults.registry import Scene, fault
from loadtests.chaos.servers import kill_server


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


def _fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4_096))
        except OSError:
            return

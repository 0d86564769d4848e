"""Stores that go back in time, or split in two."""

import asyncio
import shutil
import time
from typing import Final

from loadtests.chaos.faults.lines import springs
from loadtests.chaos.faults.registry import Scene, fault
from loadtests.chaos.proxy import Fault
from loadtests.chaos.roles import Role
from loadtests.chaos.stores import kill_server

WRITER_LAG_S: Final = 3.0
"""What a writer that works has settled for sure, on a busy machine too."""
_STEWARDS: Final = ("steward-1", "steward-2")


@fault("redis from an older snapshot", "settled", restarts="redis")
async def redis_older(scene: Scene) -> None:
    """Redis comes back with a file of some time ago."""
    redis = scene.servers.redis
    asleep = await _put_to_sleep(scene)
    since_s = time.monotonic()
    kept = redis.folder / "kept.aof"
    await asyncio.to_thread(shutil.copy, redis.folder / "appendonly.aof", kept)
    await scene.pause(0.3, 1.5)
    await kill_server(redis)
    await asyncio.to_thread(shutil.copy, kept, redis.folder / "appendonly.aof")
    scene.may_lose(since_s if "writer" in asleep else max(since_s, time.monotonic() - WRITER_LAG_S))
    await scene.servers.revive(redis)
    await _wake(scene, asleep)


@fault("redis lost", "settled", restarts="redis")
async def redis_lost(scene: Scene) -> None:
    """Redis comes back empty."""
    await _lose_redis(scene)


@fault("load interrupted", "settled", restarts="redis")
async def load_interrupted(scene: Scene) -> None:
    """Redis comes back empty, and in the middle of the load whoever loads is killed, or Redis is, or he sleeps."""
    servers = scene.servers
    lines = {name: servers.lines[name, "redis"] for name in _STEWARDS}
    traps = {name: line.trap(b":holders", Fault.DELAY) for name, line in lines.items()}
    await _lose_redis(scene)
    springing = {asyncio.ensure_future(springs(lines[name], trap)): name for name, trap in traps.items()}
    done, waiting = await asyncio.wait(springing, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    loader = servers.roles[springing[done.pop()]]
    what = scene.random.choice(("killed", "asleep", "redis"))
    scene.notes.append(what)
    if what == "killed":
        await loader.kill()
    elif what == "asleep":
        loader.freeze()
    else:
        await kill_server(servers.redis)
        await scene.servers.revive(servers.redis)
    await scene.pause(0.5, 4.0)
    for trap in traps.values():
        trap.release()  # what was on its way arrives now, perhaps behind another steward's work
    for line in lines.values():
        line.disarm()
    loader.thaw()
    loader.let_up()


async def _lose_redis(scene: Scene) -> None:
    redis = scene.servers.redis
    since_s = time.monotonic() - WRITER_LAG_S
    await kill_server(redis)
    scene.may_lose(since_s)
    (redis.folder / "appendonly.aof").unlink()
    await scene.servers.revive(redis)


@fault("lagging replica promoted", "replicated", restarts="redis")
async def replica_promoted(scene: Scene) -> None:
    """A replica that lags becomes the master, while one gateway goes on talking to the old one for a while."""
    servers = scene.servers
    replica = await servers.with_replica()
    old = servers.redis
    asleep = await _put_to_sleep(scene)
    since_s = time.monotonic()
    servers.replication.stall()
    await scene.pause(0.3, 1.5)
    left_behind = scene.random.choice(("gateway-1", "gateway-2"))
    await replica.command("REPLICAOF", "NO", "ONE")
    servers.lead_to_redis(replica, but=left_behind)
    promoted_s = time.monotonic()
    await _wake(scene, asleep)
    await scene.pause(0.5, 3.0)
    await kill_server(old)
    scene.may_lose(since_s if "writer" in asleep else max(since_s, promoted_s - WRITER_LAG_S))
    servers.lead_to_redis(replica)
    scene.was_apart(left_behind, promoted_s)
    await servers.crown(replica)


@fault("postgres set back", restarts="postgres")
async def postgres_set_back(scene: Scene) -> None:
    """Postgres is restored from a copy of some time ago; Redis has gone on."""
    postgres = scene.servers.postgres
    kept = await scene.servers.copy_postgres()
    await scene.pause(0.5, 2.5)
    await kill_server(postgres)
    await asyncio.to_thread(shutil.rmtree, postgres.cluster)
    kept.rename(postgres.cluster)
    await scene.servers.revive(postgres)


async def _put_to_sleep(scene: Scene) -> tuple[str, ...]:
    """Writers, stewards, both or nobody: nothing is settled from here on, nobody looks at a Redis that is another."""
    kinds: tuple[str, ...] = scene.random.choice((("writer",), ("steward",), ("writer", "steward"), ()))
    for role in _of(scene, kinds):
        role.freeze()
    if kinds:
        scene.notes.append(f"asleep meanwhile: {' and '.join(kinds)}")
    return kinds


async def _wake(scene: Scene, kinds: tuple[str, ...]) -> None:
    """A steward sleeps on for a while: until it has looked, the fence alone keeps such a Redis from selling."""
    if "steward" in kinds:
        await scene.pause(0.5, 1.5)
    for role in _of(scene, kinds):
        role.thaw()


def _of(scene: Scene, kinds: tuple[str, ...]) -> list[Role]:
    return [role for name, role in scene.servers.roles.items() if name.partition("-")[0] in kinds]

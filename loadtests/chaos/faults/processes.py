"""kill -9 of each process, and processes that sleep past every time-out and wake up."""

import os
import signal
import time
from typing import Final

from loadtests.chaos.faults.registry import Scene, fault
from loadtests.chaos.roles import Role
from loadtests.chaos.stores import kill_server

PAST_EVERY_TIMEOUT_S: Final = 6.0
"""Longer than a lease (1.5 s), an answer of Redis (1 s), a claim's decision (5 s)."""


@fault("redis killed", "logged", restarts="redis")
async def redis_killed(scene: Scene) -> None:
    """Redis is killed and comes back with its append-only file."""
    since_s = time.monotonic()
    await kill_server(scene.servers.redis)
    scene.may_lose(since_s - 1.0)
    await scene.pause(0.0, 1.5)
    await scene.servers.revive(scene.servers.redis)


@fault("redis frozen", restarts="redis")
async def redis_frozen(scene: Scene) -> None:
    """Redis stops, keeps its connections, and goes on where it was."""
    child = scene.servers.redis.child
    os.kill(child.pid, signal.SIGSTOP)
    await scene.pause(1.5, 4.0)
    os.kill(child.pid, signal.SIGCONT)


@fault("postgres killed", restarts="postgres")
async def postgres_killed(scene: Scene) -> None:
    """Postgres is killed, its sessions with it, and comes back by its log."""
    await kill_server(scene.servers.postgres)
    await scene.pause(0.0, 2.0)
    await scene.servers.revive(scene.servers.postgres)


@fault("postgres stopped", restarts="postgres")
async def postgres_stopped(scene: Scene) -> None:
    """Somebody stops it in order: at first it only takes no new sessions (57P03), then it ends those that there are
    (57P01). (https://www.postgresql.org/docs/current/server-shutdown.html: SIGTERM, SIGINT.)"""
    postgres = scene.servers.postgres
    os.kill(postgres.child.pid, signal.SIGTERM)
    await scene.pause(0.3, 1.0)
    await postgres.stop()
    await scene.pause(0.0, 1.0)
    await scene.servers.revive(postgres)


@fault("gateway killed")
async def gateway_killed(scene: Scene) -> None:
    """One of two, with claims in flight."""
    await _kill(scene, "gateway")


@fault("writer killed")
async def writer_killed(scene: Scene) -> None:
    """The one that leads, or the one that stands by: the seed says which."""
    await _kill(scene, "writer")


@fault("steward killed")
async def steward_killed(scene: Scene) -> None:
    """Likewise."""
    await _kill(scene, "steward")


@fault("all roles killed")
async def all_roles_killed(scene: Scene) -> None:
    """Every process but the stores."""
    roles = list(scene.servers.roles.values())
    for role in roles:
        await role.kill()
    await scene.pause(0.0, 1.0)
    for role in roles:
        role.let_up()
    for role in roles:
        await role.ready()


@fault("gateway stopped and woken")
async def gateway_asleep(scene: Scene) -> None:
    """SIGSTOP past every time-out, with claims in flight, then SIGCONT."""
    await _sleep(scene, "gateway")


@fault("writer stopped and woken")
async def writer_asleep(scene: Scene) -> None:
    """A zombie with log entries in its hands."""
    await _sleep(scene, "writer")


@fault("steward stopped and woken", "logged", restarts="redis")
async def steward_asleep(scene: Scene) -> None:
    """A zombie that believes in its lease; Redis restarts meanwhile, so that another one has recovered the shard."""
    role = _one(scene, "steward")
    role.freeze()
    since_s = time.monotonic()
    await kill_server(scene.servers.redis)
    scene.may_lose(since_s - 1.0)
    await scene.servers.revive(scene.servers.redis)
    await scene.pause(PAST_EVERY_TIMEOUT_S, PAST_EVERY_TIMEOUT_S + 1)
    role.thaw()


def _one(scene: Scene, kind: str) -> Role:
    return scene.servers.roles[f"{kind}-{scene.random.choice((1, 2))}"]


async def _kill(scene: Scene, kind: str) -> None:
    role = _one(scene, kind)
    await role.kill()
    await scene.pause(0.0, 2.0)
    role.let_up()
    await role.ready()


async def _sleep(scene: Scene, kind: str) -> None:
    role = _one(scene, kind)
    role.freeze()
    await scene.pause(PAST_EVERY_TIMEOUT_S, PAST_EVERY_TIMEOUT_S + 1)
    role.thaw()

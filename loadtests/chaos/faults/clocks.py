"""Clocks that are off, by libfaketime."""

import time
from pathlib import Path
from typing import Final

from loadtests.chaos.faults.registry import Scene, fault
from loadtests.chaos.roles import GATEWAYS
from loadtests.chaos.stores import kill_server

LIBRARIES: Final = (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"),
)
"""Where Debian's package `libfaketime` puts it."""


def library() -> Path | None:
    """libfaketime; None where it is not installed."""
    return next((path for path in LIBRARIES if path.exists()), None)


@fault("gateway's clock off", needs="faketime")
async def gateway_clock(scene: Scene) -> None:
    """One gateway is five seconds ahead, or behind."""
    role = scene.servers.roles[scene.random.choice(GATEWAYS)]
    usual = dict(role.environment)
    await role.kill()
    role.environment |= {"LD_PRELOAD": str(library()), "FAKETIME": scene.random.choice(("+5s", "-5s"))}
    role.let_up()
    await role.ready()
    await scene.pause(2.0, 4.0)
    await role.kill()
    role.environment = usual
    role.let_up()
    await role.ready()


@fault("store's clock stepped", "logged", needs="faketime", restarts="redis", shifts_clocks=True)
async def store_clock(scene: Scene) -> None:
    """The clock that decides goes back by up to fifty seconds, then forward by two, then is right again."""
    redis = scene.servers.redis
    offset = redis.folder / "offset"
    offset.write_text("+0s\n", "ascii")
    faked = {"LD_PRELOAD": str(library()), "FAKETIME_TIMESTAMP_FILE": str(offset)}
    await _restart(scene, {**faked, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    for step in (f"-{scene.random.randint(5, 50)}s", "+2s", "+0s"):
        await scene.pause(0.3, 1.0)
        draft = offset.with_suffix(".new")
        draft.write_text(step + "\n", "ascii")
        draft.replace(offset)
    await scene.pause(0.3, 0.6)
    await _restart(scene, {})


async def _restart(scene: Scene, environment: dict[str, str]) -> None:
    redis = scene.servers.redis
    began_s = time.monotonic()
    await kill_server(redis)
    scene.may_lose(began_s - 1.0)
    redis.child.more = environment
    await scene.servers.revive(redis)

"""Lines between any two processes: cut, slow, dead in both directions or in one; and broken at chosen moments."""

import asyncio
import time
from typing import Final

from loadtests.chaos.faults.registry import Scene, fault
from loadtests.chaos.proxy import Fault, Proxy, Trap, Way
from loadtests.chaos.roles import GATEWAYS
from loadtests.chaos.servers import LINES

_SPRUNG_S: Final = 4.0
"""A trap that has caught nothing by then is taken away: nothing of the kind happens any more."""
_CLAIM_SCRIPT: Final = b":holders"
"""Stands in each call of the claim script, and in no act."""
_COMMIT: Final = b"COMMIT"


@fault("lines cut")
async def lines_cut(scene: Scene) -> None:
    """Any lines, again and again: what was on its way is gone, and new connections work at once."""
    for _ in range(scene.random.randint(3, 8)):
        scene.servers.lines[scene.random.choice(LINES)].cut()
        await scene.pause(0.05, 0.4)


@fault("line refused")
async def line_refused(scene: Scene) -> None:
    """One process cannot connect to another."""
    line = _any(scene)
    await line.refuse()
    await scene.pause(0.5, 3.0)
    await line.accept()


@fault("lines slow")
async def lines_slow(scene: Scene) -> None:
    """A third of all lines, by up to half a second a piece and direction."""
    lines = [scene.servers.lines[name] for name in scene.random.sample(LINES, len(LINES) // 3)]
    for line in lines:
        line.delay_s = scene.random.uniform(0.02, 0.5)
    await scene.pause(1.0, 3.0)
    for line in lines:
        line.delay_s = 0.0


@fault("line half open")
async def line_half_open(scene: Scene) -> None:
    """Nothing passes and nobody is told; then what was on its way arrives."""
    line = _any(scene)
    line.stall()
    await scene.pause(0.5, 4.0)
    line.resume()


@fault("line dead one way")
async def line_one_way(scene: Scene) -> None:
    """Requests arrive and are done, and no answer comes; or the other way round."""
    line = _any(scene)
    line.stall(scene.random.choice((Way.REQUESTS, Way.ANSWERS)))
    await scene.pause(0.5, 4.0)
    line.resume()


@fault("redis dead one way")
async def redis_one_way(scene: Scene) -> None:
    """Nobody hears of Redis any more; what they send it does."""
    for line in scene.servers.lines_to("redis"):
        line.stall(Way.ANSWERS)
    await scene.pause(0.5, 3.0)
    for line in scene.servers.lines_to("redis"):
        line.resume()
        line.cut()


@fault("reply lost behind the script")
async def reply_lost(scene: Scene) -> None:
    """Between script and reply: decided, and its gateway is not told."""
    line = scene.servers.lines[scene.random.choice(GATEWAYS), "redis"]
    for _ in range(scene.random.randint(2, 5)):
        what = scene.random.choice((Fault.CUT_AFTER, Fault.SWALLOW))
        await springs(line, line.trap(_CLAIM_SCRIPT, what))


@fault("batch late on the way")
async def batch_late(scene: Scene) -> None:
    """A batch arrives when its gateway has long given it up, asked again, or told its users that it is not known."""
    line = scene.servers.lines[scene.random.choice(GATEWAYS), "redis"]
    trap = line.trap(_CLAIM_SCRIPT, Fault.HOLD)
    await springs(line, trap)
    await scene.pause(0.5, 6.0)
    trap.release()


@fault("commit's answer lost")
async def commit_lost(scene: Scene) -> None:
    """The writer does not hear whether its transaction was committed. It was."""
    await _at_commit(scene, kills=False)


@fault("writer killed behind the commit")
async def commit_unpublished(scene: Scene) -> None:
    """Between commit and publication: the ledger has it, and nobody has been told."""
    await _at_commit(scene, kills=True)


async def _at_commit(scene: Scene, *, kills: bool) -> None:
    traps = {name: scene.servers.lines[name, "postgres"] for name in ("writer-1", "writer-2")}
    set_up = {name: line.trap(_COMMIT, Fault.CUT_AFTER) for name, line in traps.items()}
    springing = {asyncio.ensure_future(springs(traps[name], trap)): name for name, trap in set_up.items()}
    done, waiting = await asyncio.wait(springing, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    for line in traps.values():
        line.disarm()
    if kills:
        role = scene.servers.roles[springing[done.pop()]]
        await role.kill()
        await scene.pause(0.0, 1.0)
        role.let_up()


async def springs(line: Proxy, trap: Trap) -> bool:
    """Wait for a trap, and take it away where nothing comes; whether it has sprung."""
    ends_s = time.monotonic() + _SPRUNG_S
    try:
        async with asyncio.timeout(ends_s - time.monotonic()):
            await trap.sprung.wait()
    except TimeoutError:
        line.disarm()
        return False
    return True


def _any(scene: Scene) -> Proxy:
    return scene.servers.lines[scene.random.choice(LINES)]

"""A run: servers, one drop after the other, and at the end everything once more from the stores."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from loadtests.chaos.client import Api
from loadtests.chaos.drop import Drop, Dropped, audit_of
from loadtests.chaos.measure import measure
from loadtests.chaos.report import contradictions, summary
from loadtests.chaos.roles import GATEWAYS
from loadtests.chaos.schedule import Due, schedule
from loadtests.chaos.servers import Servers
from loadtests.chaos.workload import make_plan

SECRET: Final = "c4a05c4a05c4a05c4a05c4a05c4a05c4a05c4a05c4a05c4a05c4a05c4a05c4a0"  # noqa: S105 - of a trial on loopback
_DROPS_FOR_A_LEVEL: Final = 4
"""Then the roles are started anew under the next `ack`."""
Say = Callable[[str], None]


@asynccontextmanager
async def stage(folder: Path, ack: str) -> AsyncIterator[tuple[Servers, dict[str, Api]]]:
    """Servers that run, and clients of both gateways."""
    servers = Servers(folder, SECRET, ack, {"log_level": "info"})
    gateways: dict[str, Api] = {}
    try:
        await servers.start()
        gateways.update({name: Api(name, servers.gateway_url(name), SECRET) for name in GATEWAYS})
        yield servers, gateways
    finally:
        for api in gateways.values():
            await api.close()
        await servers.stop()


class Run:
    """One run of a seed."""

    def __init__(self, seed: int, users: int, say: Say) -> None:
        self._seed = seed
        self._users = users
        self._say = say
        self.drops: list[Dropped] = []
        self.broken = False

    async def drop(self, servers: Servers, gateways: dict[str, Api], number: int, due: Sequence[Due]) -> Dropped:
        """One drop, told."""
        plan = make_plan(self._seed, number, self._users)
        dropped = await Drop(servers, gateways, plan, number).run(due)
        self.drops.append(dropped)
        self._say(summary(dropped))
        for line in contradictions(dropped):
            self._say(f"  {line}")
        self.broken |= bool(dropped.judgement.contradictions)
        return dropped

    async def go(
        self, folder: Path, minutes: float, acks: Sequence[str], faults: Sequence[str], rebuild_claims: int
    ) -> None:
        """Drops until the time is up; then `dropwave audit` on all of them, and what recoveries take."""
        ends_s = time.monotonic() + 60 * minutes
        async with stage(folder, acks[0]) as (servers, gateways):
            for number, due in enumerate(schedule(self._seed, faults), 1):
                ack = acks[(number - 1) // _DROPS_FOR_A_LEVEL % len(acks)]
                if ack != servers.ack:
                    await servers.start_roles(ack)
                await self.drop(servers, gateways, number, due)
                if time.monotonic() > ends_s:
                    break
            for promise, what in await audit_of(servers):
                self.broken = True
                self._say(f"in the end: {promise}  {what}")
            plan = make_plan(self._seed, number + 1, self._users)
            await Drop(servers, gateways, plan, number + 1).apply()
            for line in await measure(servers, gateways, plan, rebuild_claims):
                self._say(line)
            ends = {name: role.ends for name, role in servers.roles.items() if role.ends}
            if ends:
                self._say(f"roles that ended by themselves and were started again: {ends}")

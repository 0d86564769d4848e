"""One drop: a campaign of its own, its crowd, the faults in the middle of it, and the verdict."""

import asyncio
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.chaos.auditor import Apart, Auditor, Judgement, Loss
from loadtests.chaos.book import Book
from loadtests.chaos.client import Api
from loadtests.chaos.crowd import Crowd
from loadtests.chaos.faults import FAULTS, Scene
from loadtests.chaos.ledger import read_ledger
from loadtests.chaos.schedule import Due
from loadtests.chaos.servers import Servers
from loadtests.chaos.waiting import happens
from loadtests.chaos.workload import DROP_S, Plan, instant

_LEAD_S: Final = 1.0
"""From the moment that all gateways show the waves to the first opening."""
_SHOWN_S: Final = 60.0
_PATIENCE_S: Final = 60.0
"""After the last fault is mended everybody has an answer within this: a rebuild, and a retry or two."""
_SETTLED_S: Final = 60.0
_LATEST_S: Final = 3.0
"""A fault comes so long after the opening at the latest, however few claims were granted."""
_ROOT: Final = Path(__file__).parents[2]


class CannotJudge(Exception):
    """The drop could not be brought to where it can be judged; its message says why, for people."""


@dataclass
class Struck:
    """A fault that was done, and how long nothing was granted."""

    fault: str
    scene: Scene
    recovery_s: float


@dataclass
class Dropped:
    """How a drop went."""

    number: int
    plan: Plan
    book: Book
    ack: str
    struck: list[Struck]
    judgement: Judgement


class Drop:
    """A drop under faults, on servers that run."""

    def __init__(self, servers: Servers, gateways: Mapping[str, Api], plan: Plan, number: int) -> None:
        self._servers = servers
        self._gateways = gateways
        self._plan = plan
        self._number = number
        self._book = Book()

    async def run(self, due: Sequence[Due]) -> Dropped:
        """From the campaign's apply to the verdict. Raises CannotJudge."""
        opens_s, opens_wall_s = await self.apply()
        crowd = Crowd(self._plan, self._book, self._gateways, opens_s)
        crowd.begin()
        try:
            struck = await asyncio.gather(*(self._strike(each, opens_s) for each in due))
            self._servers.mend_lines()
            await asyncio.sleep(max(0.0, opens_s + DROP_S - time.monotonic()))
            await self._granting_again()
            with suppress(TimeoutError):  # what stays paused is told as units that nobody gets
                await asyncio.wait_for(crowd.resume(), _PATIENCE_S)
            await crowd.end(_PATIENCE_S)
            await crowd.buy_out()
            settles = await happens(lambda: self._servers.is_settled(self._plan.campaign), _SETTLED_S, 0.05)
        finally:
            await crowd.stop()
        dropped = await self._judge(struck, opens_s, opens_wall_s)
        if not settles:
            dropped.judgement.wrong("P3", f"not settled after {_SETTLED_S:.0f} s, or no shard that sells")
        return dropped

    async def apply(self) -> tuple[float, float]:
        """Put the campaign into force; the first opening, on the monotonic clock and as Unix time."""
        gateway = next(iter(self._gateways.values()))
        await self._put(gateway, time.time() + 60)
        if not await happens(self._is_shown, _SHOWN_S, 0.05):
            raise CannotJudge(f"{self._plan.campaign} is not in the hot store after {_SHOWN_S:.0f} s")
        opens_wall_s = float(math.ceil(time.time() + _LEAD_S))  # how long loading takes is nobody's business here
        for wave in self._plan.waves:
            body = {
                "reason": "chaos",
                "opens_at": instant(opens_wall_s + self._plan.opens_after_s(wave)),
                "closes_at": instant(opens_wall_s + self._plan.closes_after_s(wave)),
            }
            status, said = await gateway.operate("POST", f"/v1/ops/waves/{wave}/move", body)
            if status != 200:
                raise CannotJudge(f"{wave} cannot be moved: {said}")
        return time.monotonic() + opens_wall_s - time.time(), opens_wall_s

    async def _is_shown(self) -> bool:
        """Whether every gateway knows the last wave, and an operator can move it."""
        wave = self._plan.waves[-1]
        shown = [await api.wave(wave) is not None for api in self._gateways.values()]
        _, seen = await next(iter(self._gateways.values())).operate("GET", f"/v1/ops/waves/{wave}", None)
        return all(shown) and "act_no" in seen

    async def _put(self, gateway: Api, opens_wall_s: float) -> None:
        file = self._plan.campaign_file(opens_wall_s)
        deadline_s = time.monotonic() + _SHOWN_S
        while True:
            status, said = await gateway.operate("PUT", f"/v1/ops/campaigns/{self._plan.campaign}", file)
            if status in (200, 201):
                return
            if status == 400 or time.monotonic() > deadline_s:
                raise CannotJudge(f"the campaign is not taken: {said}")
            await asyncio.sleep(0.2)

    async def _strike(self, due: Due, opens_s: float) -> Struck:
        """Wait for its moment, do it, and see when claims are granted again."""
        fault = FAULTS[due.fault]
        moment = due.share * self._plan.stock
        await happens(lambda: self._book.granted >= moment, opens_s + _LATEST_S - time.monotonic(), 0.005)
        scene = Scene(self._servers, self._book, self._plan.chance("fault", due.fault))
        async with self._servers.turns[fault.restarts] if fault.restarts else nullcontext():
            scene.began_s = time.monotonic()
            self._book.damage.append(due.fault)
            try:
                await fault.do(scene)
            finally:
                scene.ended_s = time.monotonic()
                self._book.damage.remove(due.fault)
        await self._granting_again()
        return Struck(due.fault, scene, self._book.recovery_s(scene.began_s, scene.ended_s))

    async def _granting_again(self) -> None:
        """Wait until a claim is granted that was asked for from now on. Where none is, the auditor tells of stranded
        units."""
        now_s = time.monotonic()
        await happens(lambda: self._book.recovery_s(now_s, now_s) < float("inf"), _PATIENCE_S)

    async def _judge(self, struck: list[Struck], opens_s: float, opens_wall_s: float) -> Dropped:
        ledger = await read_ledger(self._servers, self._plan.campaign)
        losses = [
            Loss(each.fault, FAULTS[each.fault].survives, *each.scene.losable) for each in struck if each.scene.losable
        ]
        apart = [Apart(*each.scene.apart) for each in struck if each.scene.apart]
        agree = not any(FAULTS[each.fault].shifts_clocks for each in struck)
        auditor = Auditor(
            self._plan, self._book, ledger, self._servers.ack, losses, opens_s, clocks_agree=agree, apart=apart
        )
        auditor.set_wall_clock(opens_wall_s)
        judgement = auditor.judge()
        for promise, what in await audit_of(self._servers, self._plan.campaign):
            judgement.wrong(promise, f"dropwave audit: {what}")
        return Dropped(self._number, self._plan, self._book, self._servers.ack, struck, judgement)


async def audit_of(servers: Servers, *subject: str) -> list[tuple[str, str]]:
    """What `dropwave audit` finds broken: (promise, example)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "engine", "audit", *subject, "--json",
        env=servers.audit_environment(), cwd=_ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, trouble = await process.communicate()
    if process.returncode not in (0, 1):
        raise CannotJudge(f"the audit could not run: {trouble.decode()[-500:]}")
    verdicts: list[dict[str, Any]] = json.loads(said)
    found = []
    for verdict in verdicts:
        for finding in verdict["findings"]:
            if finding["held"] is False:
                found += [(finding["promise"], example) for example in finding["examples"] or [finding["figures"]]]
            elif finding["held"] is None:
                found.append((finding["promise"], f"not judged: {finding['figures']}"))
    return found

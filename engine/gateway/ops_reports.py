"""`GET /v1/ops/waves/{wave}/report`: what a wave gave out, for operators who may look."""

import asyncio
from typing import Final

import msgspec

from engine.errors import LedgerError, UnknownWave
from engine.gateway.answer import PRIVATE, Answer, Heading, Words
from engine.gateway.callers import Doorkeeper
from engine.gateway.identity.caller import is_clean
from engine.gateway.ops_refusals import says
from engine.gateway.parts import GatewayParts
from engine.gateway.refusals import Problem, refuse
from engine.gateway.report_objects import report_members
from engine.gateway.waves import ID_LENGTH_MAX

_IN_LINE_MAX: Final = 4
"""Reports that are made or wait for that, in one gateway: a large one takes the ledger a second or two."""
_TOO_MANY: Final = Problem("busy", Words("other reports are being made here", "正在生成其他报告"))
_encode: Final = msgspec.json.Encoder().encode


class ReportEndpoint:
    """Makes reports, one after the other: each reads all claims of its wave, and settling comes first."""

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper) -> None:
        self._report = parts.ops.report
        self._doorkeeper = doorkeeper
        self._reporting = asyncio.Lock()
        self._in_line = 0

    async def report(self, wave: str, heading: Heading) -> Answer:
        """The report on one wave, as it is now."""
        caller = self._doorkeeper.viewer(heading.authorization)
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        if not is_clean(wave, ID_LENGTH_MAX):
            return refuse(Problem("unknown_wave"), heading.accept_language)
        if self._in_line >= _IN_LINE_MAX:
            return refuse(_TOO_MANY, heading.accept_language)
        self._in_line += 1
        try:
            async with self._reporting:
                report = await self._report(wave)
        except UnknownWave as error:
            return refuse(Problem("unknown_wave", says(str(error))), heading.accept_language)
        except LedgerError as error:  # all figures are the ledger's
            return refuse(Problem("busy", says(str(error))), heading.accept_language)
        finally:
            self._in_line -= 1
        return Answer(200, "ok", PRIVATE, _encode(report_members(report)))

"""An engine in which many have claimed already, and what can be measured there."""

import time
from typing import Final

from engine.ledger.cursors import Cursor, read_cursor
from loadtests.bench.engine_side import EngineSide
from loadtests.bench.filling import BATCH_MAX, fill
from loadtests.bench.ledger_filling import fill_ledger
from loadtests.bench.measuring import wave_bytes
from loadtests.bench.sides import WaveAt

_REBUILT_S: Final = 600.0
_MOVED_S: Final = 30.0


class CrowdedEngine(EngineSide):
    """The engine; its waves can be filled past its gateways."""

    async def fill(self, wave: WaveAt, prefix: str, claims: int, batch: int = BATCH_MAX) -> None:
        """So many claims by the script, of others, whose names begin so."""
        catalogue, catalogue_wave, _ = self._waves[wave.id]
        await fill(self._stores.hot_store, catalogue, catalogue_wave, prefix, claims, batch)

    async def fill_ledger(self, wave: WaveAt, claims: int) -> None:
        """So many claims in the ledger alone: until `rebuild` the stores contradict each other, and the roles rest."""
        catalogue, catalogue_wave, _ = self._waves[wave.id]
        await self.settled(wave)
        self.rest()
        await fill_ledger(self._database_url, catalogue, catalogue_wave, claims)

    async def rebuild(self, wave: WaveAt) -> tuple[float, int]:
        """Redis loses everything; seconds until the steward has put the wave back, and bytes that Redis then holds."""
        self.rest()
        await self.redis.command("FLUSHALL")
        self.wake()
        began_s = time.monotonic()
        await self._until(lambda: self._is_put(wave.id, 1), _REBUILT_S, "the wave was not put back")
        return time.monotonic() - began_s, await wave_bytes(self.redis, wave)

    async def settling_speed(self, wave: WaveAt) -> float:
        """Claims a second, from the first commit that is seen until the ledger has everything."""
        first = await self._cursor(wave)

        async def moved() -> bool:
            return (await self._cursor(wave)).place != first.place

        await self._until(moved, _MOVED_S, "nothing settles")
        began, began_s = await self._cursor(wave), time.monotonic()
        await self.settled(wave)
        took_s = time.monotonic() - began_s
        return ((await self._cursor(wave)).last - began.last) / took_s

    async def _cursor(self, wave: WaveAt) -> Cursor:
        return await read_cursor(self._stores.ledger, self._waves[wave.id][0].campaign_no)

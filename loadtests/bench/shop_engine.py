"""An engine whose vouchers are used: a campaign with many settled claims, tills, and what the ledger has of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from engine.errors import CannotRun
from engine.gateway.identity.minting import marks_of, mint_token
from engine.gateway.keyring import Keyring
from loadtests.bench.crowded_engine import CrowdedEngine
from loadtests.bench.ledger_filling import filled_code
from loadtests.bench.modules import run_module
from loadtests.bench.sides import WaveAt
from loadtests.bench.wrk import write_users
from loadtests.open_loop.answers import Summary

REDEMPTIONS: Final = "/v1/merchant/redemptions"
_TILLS: Final = 500
"""Each with a token of its own, as tills log in; they fit into the gateway's cache of tokens."""
_CONNECTIONS: Final = 500
_TTL_S: Final = 6 * 3_600
_AMOUNT, _DISCOUNT = 20_000, 5_000
_SCATTER: Final = 2_654_435_761
"""A prime: multiplied by it, numbers below a power of ten come in no order, and each once."""
_LEAD_S: Final = 1.0
"""For the generator to start and to connect."""
_LAG_S: Final = 2.0
"""Redemptions go on for so much longer than what they run beside."""
_PATIENCE_S: Final = 10
_LEDGER_SQL: Final = """
    select count(*) as steps, count(distinct code) as codes, coalesce(sum(discount), 0) as discount,
           (select count(*) from vouchers where campaign_no = $1 and state = 'redeemed') as redeemed
    from voucher_steps where campaign_no = $1 and kind = 'redeem'"""


class ShopEngine(CrowdedEngine):
    """The engine; the vouchers of its first wave are redeemed, each once."""

    def __init__(self, *arguments: Any, beside_per_second: int = 0, beside_s: float = 0.0, **named: Any) -> None:
        """`beside_per_second`: redemptions while anything else is measured (`measured`), which takes `beside_s`."""
        super().__init__(*arguments, **named)
        self._beside_per_second, self._beside_s = beside_per_second, beside_s
        self.vouchers: WaveAt
        """The wave that they were claimed in."""
        self._size = 0
        self._used = 0
        self._tokens: list[str] = []
        self._told = 0
        self.summary: Summary | None = None
        """Of the last load."""

    async def issue(self, vouchers: int) -> None:
        """So many settled claims, in the ledger and in the hot store."""
        self.vouchers = await self.open_wave(vouchers, -3_600.0)
        self._size = vouchers
        await self.fill_ledger(self.vouchers, vouchers)
        await self.rebuild(self.vouchers)

    async def redeem(self, count: int, per_second: float, begin_at_s: float = 0.0) -> Summary:
        """So many redemptions, each of another voucher, an open loop. CannotRun where the generator fails."""
        file = self._folder / f"tills-{self._used}"
        await asyncio.to_thread(write_users, file, self._requests(count))
        arguments = [
            "--port", self.port, "--users", file, "--path", REDEMPTIONS, "--rate", per_second,
            "--connections", _CONNECTIONS, "--begin-at", begin_at_s, "--patience", _PATIENCE_S,
            "--page", self.vouchers.page,
        ]  # fmt: skip
        _, said = await run_module("loadtests.open_loop", *arguments)
        file.unlink()
        try:
            summary = msgspec.json.decode(said, type=Summary)
        except msgspec.DecodeError as error:
            raise CannotRun(f"the open loop failed: {said.decode('utf-8', 'replace')[-500:]}") from error
        self._told += summary.by_status["201"].count if "201" in summary.by_status else 0
        self.summary = summary
        return summary

    @asynccontextmanager
    async def measured(self, wave: WaveAt) -> AsyncIterator[None]:
        """With redemptions beside it, where that was asked for."""
        if not self._beside_per_second:
            async with super().measured(wave):
                yield
            return
        count = int(self._beside_per_second * (self._beside_s + _LAG_S))
        async with asyncio.TaskGroup() as group:
            load = group.create_task(self.redeem(count, self._beside_per_second, time.time() + _LEAD_S))
            await asyncio.sleep(_LEAD_S)
            yield
            if load.done():
                raise CannotRun("the redemptions ended before what they were to run beside")

    async def contradictions(self) -> list[str]:
        """What the ledger has and tills were told otherwise; nothing is under way."""
        number = self._waves[self.vouchers.id][0].campaign_no
        row = await self._stores.ledger.fetch_row(_LEDGER_SQL, number)
        assert row is not None, "a count always is"
        found = {"steps": row["steps"], "vouchers": row["codes"], "redeemed": row["redeemed"]}
        wrong = [
            f"{self._told} tills were told 201, {name}: {value}" for name, value in found.items() if value != self._told
        ]
        if row["discount"] != self._told * _DISCOUNT:
            wrong.append(f"discounts of {row['discount']} for {self._told} redemptions")
        return wrong

    async def verdict(self) -> tuple[bool, str]:
        """Every redemption against the ledger; and the audit, where there were claims of others."""
        wrong = await self.contradictions()
        if wrong:
            return False, "; ".join(wrong)
        if not self._told:
            return await super().verdict()
        words = f"{self._told:,} tills were told 201, the ledger has as many vouchers redeemed, each once"
        if len(self._waves) == 1:
            return True, words
        held, audited = await super().verdict()
        return held, f"{words}; {audited}"

    def _till_tokens(self) -> Iterator[str]:
        key, marks = Keyring.of(self._settings).signing_key, marks_of(self._settings)
        for till in range(_TILLS):
            yield mint_token(key, f"till-{till:03}", ttl_s=_TTL_S, scope="merchant", stores=["shop-001"], marks=marks)

    def _requests(self, count: int) -> Iterator[str]:
        """A header and a body for each."""
        if self._used + count > self._size:
            raise CannotRun(f"{self._size} vouchers are too few")
        tokens = self._tokens = self._tokens or list(self._till_tokens())
        prefix = self._waves[self.vouchers.id][0].code_prefix
        for number in range(self._used, self._used + count):
            code = filled_code(prefix, number * _SCATTER % self._size + 1)
            body = {
                "code": code, "store": "shop-001", "clerk": "clerk-07", "amount": _AMOUNT,
                "order_no": f"order-{number}", "payment_no": f"payment-{number}", "request_no": f"request-{number}",
            }  # fmt: skip
            yield f"Authorization: Bearer {tokens[number % _TILLS]}\t{msgspec.json.encode(body).decode()}"
        self._used += count

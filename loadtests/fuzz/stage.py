"""The installation that is fuzzed: a campaign of its own in it, and what can be seen of it before and after."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.domain.tickets import Ticket, TicketBook
from engine.errors import CannotRun, UsageError
from engine.gateway.identity.minting import marks_of, mint_token
from engine.gateway.keyring import Keyring
from engine.settings import Settings
from loadtests.fuzz.answers import Answer
from loadtests.fuzz.kit import Kit
from loadtests.fuzz.talks import ask

OFFER: Final = "unit"
STOCK: Final = 10_000_000
"""More than any run can claim: "sold_out" would hide what else is wrong."""
TOKENS_LAST_S: Final = 24 * 3_600
PUT_S: Final = 20.0
"""The steward puts a wave within a second; past this something is broken."""
AUDIT_S: Final = 600.0
"""It reads every claim from both stores: some minutes for a million."""
_LOOK_S: Final = 0.1


class Standing(NamedTuple):
    """What operators see of the wave: claims in the hot store, and the number of the campaign's last act."""

    claimed: int
    act_no: int
    state: str
    revision: int


class Stage:
    """An installation that listens at `host` and `port`, with these settings; its secrets make tickets and tokens."""

    def __init__(self, settings: Settings, host: str, port: int, seed: int) -> None:
        self.host, self.port = host, port
        keyring = Keyring.of(settings)
        mark = f"{seed % 10**6:06}{time.time_ns() // 10**6 % 10**8:08}"
        self.campaign = self.wave = f"fuzz-{mark}"
        self.kit = Kit(
            self.campaign,
            self.wave,
            OFFER,
            f"{self.wave}-",
            self._ticket_maker(TicketBook(keyring.ticket_keys)),
            lambda sub, scope, role: mint_token(
                keyring.signing_key, sub, ttl_s=TOKENS_LAST_S, scope=scope, role=role, marks=marks_of(settings)
            ),
        )
        self._operator = self.kit.token(0, "ops", "operator")

    def _ticket_maker(self, book: TicketBook) -> Callable[[str], str]:
        issued_ms = round(time.time() * 1000)
        return lambda user: book.mint(Ticket(self.campaign, self.wave, user, user, "account", "", issued_ms))

    async def open(self) -> None:
        """Put the campaign and wait until its wave is open. Raises CannotRun, UsageError."""
        answer = await self._ask(
            b"PUT", f"/v1/ops/campaigns/{self.campaign}?reason=fuzz", json.dumps(self._file()).encode()
        )
        if answer.code in ("unauthenticated", "token_expired"):
            raise UsageError("the installation does not take our token: is DROPWAVE_SECRET its secret?")
        if answer.status not in (200, 201):
            raise CannotRun(f"the campaign was not taken: {answer.body.decode(errors='replace')[:500]}")
        ends_s = time.monotonic() + PUT_S
        while time.monotonic() < ends_s:
            page = await self._ask(b"GET", f"/v1/waves/{self.wave}")
            if page.status == 200 and json.loads(page.body)["state"] == "open":
                return
            await asyncio.sleep(_LOOK_S)
        raise CannotRun(f"the wave was not open {PUT_S:.0f} s after its campaign was put")

    async def standing(self) -> Standing:
        """How the wave stands now."""
        answer = await self._ask(b"GET", f"/v1/ops/waves/{self.wave}")
        if answer.status != 200:
            raise CannotRun(f"the wave cannot be looked at: {answer.code}")
        page: dict[str, Any] = json.loads(answer.body)
        return Standing(
            sum(offer["claimed"] for offer in page["offers"]), page["act_no"], page["state"], page["revision"]
        )

    async def audit(self) -> dict[str, Any]:
        """The verdict on the wave, from hot store and ledger."""
        answer = await self._ask(b"GET", f"/v1/ops/waves/{self.wave}/audit", within_s=AUDIT_S)
        if answer.status != 200:
            raise CannotRun(f"the wave cannot be audited: {answer.code}")
        verdict: dict[str, Any] = json.loads(answer.body)
        return verdict

    async def close(self) -> None:
        """Close the wave: nobody is to claim in it any more."""
        await self._ask(b"POST", f"/v1/ops/waves/{self.wave}/close", b'{"reason": "fuzz"}')

    async def _ask(self, method: bytes, path: str, body: bytes = b"", within_s: float = PUT_S) -> Answer:
        extra = b"Authorization: Bearer %b\r\nContent-Type: application/json\r\n" % self._operator
        request = self.kit.request(method, path.encode(), b"stage", extra, body)
        return await ask(self.host, self.port, request, within_s)

    def _file(self) -> dict[str, Any]:
        now = datetime.now(UTC)
        store = {"title": "A shop", "merchant": "m-1", "city": "武汉"}
        offer = {"id": OFFER, "title": "A unit", "kind": "instant", "face": 100, "stores": "all"}
        wave = {
            "id": self.wave,
            "opens_at": (now - timedelta(hours=1)).isoformat(timespec="seconds"),
            "closes_at": (now + timedelta(hours=12)).isoformat(timespec="seconds"),
            "stock": {OFFER: STOCK},
        }
        return {
            "campaign": self.campaign,
            "title": "Fuzz",
            "timezone": "Asia/Shanghai",
            "currency": "CNY",
            "sandbox": True,
            "validity": {"days_after_claim": 7},
            "stores": {"s-1": store},
            "offers": [offer],
            "waves": [wave],
        }


def gateways_below(pid: int) -> list[int]:
    """The gateway processes that this one has started; none where /proc does not tell."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in children if b"gateway" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")]


def resident_bytes(pid: int) -> int:
    """The memory that a process has of its own or shares; 0 where /proc does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")

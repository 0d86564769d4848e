"""A running installation as an operator sees it over HTTP."""

from typing import Any

import msgspec
from msgspec import Struct

from engine.domain.verdict import Finding, Verdict
from engine.errors import CannotRun, UsageError
from engine.rehearsal.client import Pool, Reply

TOLD_MAX_CHARACTERS = 500
"""Of an answer that nobody expected."""


class ShownOffer(Struct, frozen=True):
    """An offer in a wave's page; `claimed` is for operators."""

    id: str
    stock: int
    left: int | None = None
    claimed: int | None = None


class ShownWave(Struct, frozen=True):
    """A wave's page. Users are not told of `epoch`: the number of the hot store's last recovery."""

    offers: tuple[ShownOffer, ...]
    epoch: int | None = None


class _Time(Struct, frozen=True):
    server_time_ms: int


class _Problem(Struct, frozen=True):
    code: str
    title: str = ""
    detail: str = ""
    mistakes: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        places = "".join(f"\n  {mistake.get('path')}: {mistake.get('what')}" for mistake in self.mistakes)
        return f"{self.title}{f': {self.detail}' if self.detail else ''} ({self.code}){places}"


class Refused(Exception):
    """The installation did not do what it was asked for; `code` is empty where no answer came."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class Installation:
    """Asks with an operator's token, one answer at a time for each call.

    Each raises Refused where the answer is a refusal, or none came.
    """

    def __init__(self, pool: Pool, authority: str, token: str) -> None:
        self._pool = pool
        self._authority = authority
        self._token = token

    async def time_ms(self) -> int:
        """The hot store's clock as a gateway estimates it."""
        return msgspec.json.decode(await self._ask("GET", "/v1/time"), type=_Time).server_time_ms

    async def put_new(self, campaign: str, text: str) -> None:
        """Apply a campaign file in JSON that must not be there yet."""
        await self._ask("PUT", f"/v1/ops/campaigns/{campaign}?reason=rehearsal", text.encode(), 'If-Match: "0"\r\n')

    async def page(self, wave: str) -> ShownWave:
        """The wave as everybody sees it."""
        return msgspec.json.decode(await self._ask("GET", f"/v1/waves/{wave}"), type=ShownWave)

    async def wave(self, wave: str) -> ShownWave:
        """The wave as operators see it."""
        return msgspec.json.decode(await self._ask("GET", f"/v1/ops/waves/{wave}"), type=ShownWave)

    async def act(self, act: str, wave: str) -> None:
        """`pause`, `resume` or `close`."""
        await self._ask("POST", f"/v1/ops/waves/{wave}/{act}", b'{"reason": "rehearsal"}')

    async def audit(self, wave: str) -> Verdict:
        """The verdict of the stores."""
        told = msgspec.json.decode(await self._ask("GET", f"/v1/ops/waves/{wave}/audit"), type=_ToldVerdict)
        return Verdict(told.subject, told.findings, told.notes)

    async def _ask(self, method: str, path: str, body: bytes | None = None, headers: str = "") -> bytes:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._authority}\r\n"
            f"Authorization: Bearer {self._token}\r\nAccept-Language: en\r\n{headers}"
        )
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        reply = await self._pool.exchange(f"{head}\r\n".encode() + (body or b""))
        if reply.status not in (200, 201):
            raise _refused(f"{method} {path.partition('?')[0]}", reply)
        return reply.body


class _ToldVerdict(Struct, frozen=True):
    subject: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


def _refused(asked: str, reply: Reply) -> Refused:
    if reply.status == 0:
        return Refused(f"no answer to {asked}")
    try:
        problem = msgspec.json.decode(reply.body, type=_Problem)
    except msgspec.DecodeError:
        text = reply.body[:TOLD_MAX_CHARACTERS].decode(errors="replace")
        return Refused(f"{asked} was answered with status {reply.status}, which no gateway of Dropwave says: {text}")
    return Refused(f"{asked}: {problem}", problem.code)


def as_failure(refused: Refused) -> CannotRun | UsageError:
    """What a person is told who cannot go on."""
    if refused.code in ("unauthenticated", "token_expired"):
        return UsageError(f"{refused}. Is DROPWAVE_SECRET the secret of this installation?")
    if refused.code == "invalid_request":
        return UsageError(str(refused))
    return CannotRun(str(refused))

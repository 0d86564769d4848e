"""HTTP as users and operators speak it, with every failure of it made an answer."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any, Final

import aiohttp

from loadtests.chaos.book import Answer, Held

PATIENCE_S: Final = 12.0
"""A gateway answers a claim within ten seconds (`settled`: five for the decision, five for the commit)."""
_TOKEN_LIFE_S: Final = 86_400


class Api:
    """One gateway, as clients reach it."""

    def __init__(self, name: str, url: str, secret: str) -> None:
        self.name = name
        self._url = url
        self._secret = secret
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=PATIENCE_S, connect=2.0), connector=aiohttp.TCPConnector(limit=256)
        )

    async def close(self) -> None:
        """Let go of all connections."""
        await self._session.close()

    def token(self, subject: str, **claims: Any) -> str:
        """A JWT of this deployment (RFC 7519), for a day."""
        head = _part({"alg": "HS256", "typ": "JWT"})
        body = _part({"sub": subject, "exp": int(time.time()) + _TOKEN_LIFE_S, **claims})
        mac = hmac.new(self._secret.encode(), head + b"." + body, hashlib.sha256).digest()
        return (head + b"." + body + b"." + _base64(mac)).decode()

    async def claim(self, wave: str, authorization: str, offers: tuple[str, ...], request_no: int) -> Answer:
        """POST a claim; what became of it."""
        body: dict[str, Any] = {"offer": offers[0]} if len(offers) == 1 else {"offers": list(offers)}
        if request_no > 1:
            body["request_no"] = request_no
        status, members, told = await self._talk("POST", f"/v1/waves/{wave}/claims", authorization, body)
        if status in (200, 201):
            claim = held_of(members["claim"])
            return Answer("claimed" if status == 201 else "replayed", claim, ack=members["ack"])
        if status == 0:
            return Answer(told, detail=members.get("detail", ""))
        shown = held_of(members["claim"]) if "claim" in members else None
        code = str(members.get("code", status))
        return Answer(code, shown, int(members.get("retry_after_ms", 0)), detail=str(members.get("detail", "")))

    async def ticket(self, wave: str, token: str) -> str | None:
        """A ticket; None where there is none to be had just now."""
        status, members, _ = await self._talk("POST", f"/v1/waves/{wave}/tickets", f"Bearer {token}", {})
        return str(members["ticket"]) if status == 201 else None

    async def own_claims(self, token: str) -> tuple[Held, ...] | None:
        """What the account has claimed, everywhere; None where that is not answered."""
        status, members, _ = await self._talk("GET", "/v1/me/claims", f"Bearer {token}")
        return tuple(held_of(claim) for claim in members["claims"]) if status == 200 else None

    async def wave(self, wave: str) -> dict[str, Any] | None:
        """Its status page; None where there is none."""
        status, members, _ = await self._talk("GET", f"/v1/waves/{wave}")
        return members if status == 200 else None

    async def is_ready(self) -> bool:
        """Whether a claim would be decided here."""
        return (await self._talk("GET", "/readyz"))[0] == 200

    async def operate(self, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        """A request of an operator: the status (0: no answer), and what was said."""
        token = self.token("chaos", scope="ops", role="operator")
        status, members, _ = await self._talk(method, path, f"Bearer {token}", body)
        return status, members

    async def _talk(
        self, method: str, path: str, authorization: str = "", body: Any = None
    ) -> tuple[int, dict[str, Any], str]:
        """Status, members of the answer, and where there is no answer (status 0): what that means for a claim."""
        headers = {"Authorization": authorization} if authorization else {}
        try:
            async with self._session.request(method, self._url + path, headers=headers, json=body) as response:
                text = await response.text()
        except aiohttp.ClientConnectorError as error:
            return 0, {"detail": type(error).__name__}, "not_sent"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return 0, {"detail": type(error).__name__}, "no_answer"
        try:
            members = json.loads(text)
        except ValueError:
            members = {"detail": text[:200]}
        return response.status, members if isinstance(members, dict) else {"detail": text[:200]}, ""


def held_of(claim: dict[str, Any]) -> Held:
    """A claim as the contract shows it (docs/http.md)."""
    return Held(claim["id"], claim["vouchers"][0]["code"], claim["wave"], claim["offer"], claim["sequence"])


def _part(members: dict[str, Any]) -> bytes:
    return _base64(json.dumps(members, separators=(",", ":")).encode())


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")

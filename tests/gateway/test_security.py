"""What docs/security.md says of headers, odds and settings, held against the code."""

import asyncio
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.codes import ALPHABET, CODE_LENGTH, PREFIX_LENGTH, claim_id, new_code
from engine.domain.quoting import presentable
from engine.domain.tickets import Ticket, TicketBook
from engine.settings import NOT_SETTINGS, PREFIX, Settings
from tests.gateway.drop import Drop
from tests.gateway.raw import Raw, claim_request, connected_to

DOCS = Path(__file__).parents[2] / "docs"
HEAD = "HTTP/1.1\r\nHost: test\r\n"


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return replace(settings, redis_url=redis_url, database_url=database_url, body_deadline_ms=150)


def requests(drop: Drop) -> dict[str, bytes]:
    """One for each way in which an answer comes about, with its name."""
    gets = (
        *("/v1/waves", "/v1/waves/one-open", "/v1/campaigns/one", "/v1/time", "/v1/waves/nowhere", "/nowhere"),
        *("/problems", "/problems/sold-out", "/problems/nowhere", "/healthz", "/readyz", "/metrics"),
        *("/openapi.json", "/docs", "/v1/me/claims", "/v1/ops/campaigns"),
    )
    claim = claim_request(drop.token(), "one-open", {"offer": "a"})
    page = f"{HEAD}Accept: text/html\r\n\r\n"
    found = {path: f"GET {path} {HEAD}\r\n".encode() for path in gets}
    return found | {
        "page": f"GET /problems {page}".encode(),
        "pages": f"GET /problems/sold-out {page}".encode(),
        "head": f"HEAD /v1/waves {HEAD}\r\n".encode(),
        "method": f"DELETE /v1/waves {HEAD}\r\n".encode(),
        "preflight": f"OPTIONS /v1/waves {HEAD}Origin: https://a.example\r\n\r\n".encode(),
        "claim": claim,
        "ticket": f"POST /v1/waves/one-later/tickets {HEAD}Authorization: {drop.token()}\r\n\r\n".encode(),
        "own": f"GET /v1/me/claims {HEAD}Authorization: {drop.token()}\r\n\r\n".encode(),
        "half a body": claim[:-3],
        "expectation": claim.replace(b"Host:", b"Expect: a miracle\r\nHost:"),
        "no http": b"hello\r\n\r\n",
        "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "no version": b"GET / HTTP/9.9\r\n\r\n",
        "long line": b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n",
        "long header": f"GET / {HEAD}X: {'x' * 9_000}\r\n\r\n".encode(),
    }


async def ask(drop: Drop, request: bytes) -> Raw.Response:
    async with connected_to(drop.port) as connection:
        connection.send(request)
        if request.startswith(b"HEAD"):
            head = (await connection.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            lines = (line.partition(":") for line in head[1:] if line)
            return Raw.Response(int(head[0].split()[1]), {name.lower(): value.strip() for name, _, value in lines}, b"")
        return await connection.response()


async def test_headers_of_every_answer(drop: Drop) -> None:
    asked = requests(drop)
    replies = dict(zip(asked, await asyncio.gather(*(ask(drop, request) for request in asked.values())), strict=True))
    assert {reply.status for reply in replies.values()} >= {200, 201, 400, 401, 404, 405, 408, 431}
    for name, reply in replies.items():
        headers = reply.headers
        assert headers["server"] == "dropwave", name
        assert headers["x-content-type-options"] == "nosniff", name
        assert headers["x-request-id"], name
        assert headers["cache-control"], name
        if reply.status >= 400 or name in ("claim", "ticket", "own", "/v1/time"):
            assert headers["cache-control"] == "no-store", name
        assert "set-cookie" not in headers, name
        assert "access-control-allow-origin" not in headers, name
        assert not re.search("aiohttp|python|uvloop", str(headers), re.IGNORECASE), name
        if headers["content-type"].startswith("text/html"):
            assert "default-src 'none'" in headers["content-security-policy"], name
            assert "unsafe" not in headers["content-security-policy"], name
            assert headers["referrer-policy"] == "no-referrer", name
            assert "Accept-Language" in headers["vary"], name


async def test_no_answer_repeats_much_of_a_request_or_what_cannot_be_printed(drop: Drop) -> None:
    long, odd = "x" * 4_000, "a\u202eb\u0007c\u0000d\ud800"
    operator = drop.token("li", scope="ops", role="operator")
    reason = {"reason": "test"}
    for text in (long, odd):
        shown = presentable(text)
        assert len(shown) <= 48
        for reply in (
            await drop.claim("one-open", {"offer": text.replace("\ud800", "")}),
            await drop.call(
                "POST",
                "/v1/ops/waves/one-open/restock",
                operator,
                json=reason | {"stock": {text.replace("\ud800", ""): 1}},
            ),
            await drop.call("POST", f"/v1/ops/waves/{long}/pause", operator, json=reason),
            await drop.call(
                "POST", "/v1/ops/waves/one-later/move", operator, json=reason | {"opens_at": text.replace("\ud800", "")}
            ),
        ):
            assert 400 <= reply.status < 500
            assert reply["detail"].isprintable()
            assert len(reply["detail"]) < 250
    assert presentable(odd) == "a\ufffdb\ufffdc\ufffdd\ufffd"


def test_sizes_of_what_can_be_guessed() -> None:
    assert len(ALPHABET) ** (CODE_LENGTH - PREFIX_LENGTH - 1) == 2**60
    asked_for = []

    def draw(bits: int) -> int:
        asked_for.append(bits)
        return 0

    code = new_code("ABC", draw)
    assert set(asked_for) == {60}
    assert len(claim_id(code).removeprefix("c-")) * 4 == 80
    ticket = TicketBook([b"k" * 32]).mint(Ticket("c", "w", "a", "a", "account", "", 0))
    other = TicketBook([b"k" * 32]).mint(Ticket("c", "w", "b", "b", "account", "", 0))
    assert len(ticket) == len(other)
    assert ticket[-22:] != other[-22:], "22 characters of base64: 128 bits"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_settings_named_in_the_docs_exist(page: Path) -> None:
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", page.read_text("utf-8")))
    known = {PREFIX + name.upper() for name in Settings.__struct_fields__} | NOT_SETTINGS
    assert named <= known


def test_files_named_on_the_page_exist() -> None:
    text = (DOCS / "security.md").read_text("utf-8")
    rows = text[text.index("## Held by tests") :]
    folders = [DOCS.parent / "tests", DOCS.parent / "tests" / "gateway", DOCS.parent]
    for name in re.findall(r"`((?:tests/)?[\w/]+(?:\.py)?)`", rows):
        assert any((folder / name).exists() for folder in folders), name

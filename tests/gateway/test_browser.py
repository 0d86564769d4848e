"""CORS as a browser understands it: Debian's Chromium, and a page that one origin lets in and another one does not."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from tests.gateway.drop import Drop, running_gateway

STARTED_S = 30.0
SCRIPT = """<!doctype html><script type="module">
const api = "%(api)s", authorization = "%(token)s", told = {};
async function ask(name, path, headers = {}, body = undefined, method = body ? "POST" : "GET") {
  try {
    const reply = await fetch(api + path, {method, headers, body, mode: "cors"});
    const read = Object.fromEntries(%(exposed)s.map(each => [each, reply.headers.get(each)]));
    told[name] = {status: reply.status, headers: read, body: await reply.text()};
  } catch (error) {
    told[name] = {failed: String(error)};
  }
}
const json = {"Authorization": authorization, "Content-Type": "application/json"};
await ask("page", "/v1/waves/one-open");
await ask("same", "/v1/waves/one-open", {"If-None-Match": told.page.headers?.["ETag"] ?? "x"});
await ask("claimed", "/v1/waves/one-open/claims", json, '{"offer": "a"}');
await ask("again", "/v1/waves/one-open/claims", json, '{"offer": "a"}');
await ask("early", "/v1/waves/one-later/claims", {...json, "X-Request-Id": "early-1"}, '{"offer": "a"}');
await ask("unknown", "/v1/waves/nowhere/claims", json, '{"offer": "a"}');
await ask("mine", "/v1/me/claims", {"Authorization": authorization});
await ask("ops", "/v1/ops/campaigns", {"Authorization": authorization});
await ask("put", "/v1/waves/one-open/claims", json, "{}", "PUT");
await fetch("/told", {method: "POST", body: JSON.stringify(told)});
</script>"""


class Page:
    """The page's own server, under two names that are two origins, and what the page tells it."""

    def __init__(self) -> None:
        self.html = ""
        self.told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def show(self, _request: web.Request) -> web.Response:
        return web.Response(text=self.html, content_type="text/html")

    async def hear(self, request: web.Request) -> web.Response:
        self.told.put_nowait(json.loads(await request.text()))
        return web.Response()


@asynccontextmanager
async def serving(page: Page) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/", page.show)
    app.router.add_post("/told", page.hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, None, 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def in_chromium(page: Page, url: str, profile: Path) -> dict[str, Any]:
    """What the page told after it was opened."""
    chromium = shutil.which("chromium")
    assert chromium, "scripts/debian-packages lists it"
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    process = await asyncio.create_subprocess_exec(
        *(chromium, *flags, f"--user-data-dir={profile}", "--remote-debugging-port=0", url),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        return await asyncio.wait_for(page.told.get(), STARTED_S)
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.debian
async def test_a_browser_lets_the_listed_page_in_and_no_other(drop: Drop, tmp_path: Path) -> None:
    page = Page()
    async with serving(page) as port:
        listed, other = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        async with running_gateway(replace(drop.settings, cors_origins=listed), drop.stores) as gateway:
            exposed = ["ETag", "Idempotent-Replayed", "Retry-After", "X-Request-Id", "Left-Read-At-Ms", "Date"]
            page.html = SCRIPT % {"api": gateway.url, "token": drop.token(), "exposed": json.dumps(exposed)}
            told = await in_chromium(page, listed, tmp_path / "listed")
            shut_out = await in_chromium(page, other, tmp_path / "other")
    assert {name: each.get("status") for name, each in told.items()} == {
        "page": 200,
        "same": 304,
        "claimed": 201,
        "again": 200,
        "early": 409,
        "unknown": 404,
        "mine": 200,
        "ops": None,
        "put": None,
    }, told
    headers = {name: each.get("headers", {}) for name, each in told.items()}
    assert headers["page"]["ETag"].startswith('W/"')
    assert all(headers["page"][name] for name in ("Left-Read-At-Ms", "Date", "X-Request-Id"))
    assert headers["again"]["Idempotent-Replayed"] == "true"
    assert int(headers["early"]["Retry-After"]) > 3_600
    assert headers["early"]["X-Request-Id"] == "early-1"
    assert json.loads(told["unknown"]["body"])["code"] == "unknown_wave"
    assert all("failed" in each for each in shut_out.values()), shut_out

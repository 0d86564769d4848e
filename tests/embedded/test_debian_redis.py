"""The Redis that Debian ships: newer than the wheel's, with another form of the append-only file."""

import os
from pathlib import Path

import pytest
import redis.asyncio

from engine.embedded.redis import EmbeddedRedis
from engine.hotstore.store import HotStore
from engine.settings import Settings
from tests.embedded.conftest import keep_word, kept_word

_PROGRAM = Path("/usr/bin/redis-check-rdb")
"""One program under several names: called redis-server, it is that. Its package starts no service."""


@pytest.mark.debian
async def test_debians_redis_serves_as_well(folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    programs = folder / "programs"
    programs.mkdir()
    (programs / "redis-server").symlink_to(_PROGRAM)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    server = EmbeddedRedis(folder / "redis")
    try:
        url = await server.start()
        assert server.version.startswith("7.")
        await keep_word(url, "kept")
        store = await HotStore.connect(url, settings)
        await store.close()
        async with redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
            assert await client.config_get("appendfsync") == {"appendfsync": "always"}
        await server.stop()
        assert await kept_word(await server.start()) == "kept"
    finally:
        await server.stop()

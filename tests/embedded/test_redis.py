"""Which Redis is run, and how it is set."""

from pathlib import Path

import pytest
import redis.asyncio

from engine.embedded.redis import EmbeddedRedis, find_redis
from engine.errors import CannotRun
from tests.support.processes import kill_all
from tests.support.waiting import wait_until

WHEEL = "importlib.util.find_spec"


def a_machine_with(folder: Path, monkeypatch: pytest.MonkeyPatch, **said: str) -> None:
    """A PATH with nothing but programs that say this of their version."""
    for name, version in said.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\necho '{version}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


async def test_the_settings_that_an_acknowledgement_rests_on_are_in_force(folder: Path) -> None:
    server = EmbeddedRedis(folder)
    wanted = {
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "maxmemory-policy": "noeviction",
        "repl-backlog-ttl": "0",
        "save": "",
        "bind": "127.0.0.1",
    }
    try:
        async with redis.asyncio.Redis.from_url(await server.start(), decode_responses=True) as client:
            for name, value in wanted.items():
                assert await client.config_get(name) == {name: value}
    finally:
        await server.stop()


async def test_it_is_not_ready_before_its_log_is_loaded(folder: Path) -> None:
    server = EmbeddedRedis(folder)
    try:
        async with redis.asyncio.Redis.from_url(await server.start()) as client:
            for _ in range(20):  # some 60 MB of log: loading it takes longer than binding the port
                await client.mset({f"{_}:{place}": "x" * 1_000 for place in range(3_000)})
        await server.stop()
        async with redis.asyncio.Redis.from_url(await server.start()) as client:
            assert await client.dbsize() == 60_000
    finally:
        await server.stop()


async def test_a_last_write_that_was_cut_in_half_is_left_out(folder: Path) -> None:
    server = EmbeddedRedis(folder)
    try:
        async with redis.asyncio.Redis.from_url(await server.start()) as client:
            await client.set("word", "acknowledged")
            (log,) = [folder / name for name in ("appendonly.aof",) if (folder / name).exists()] or sorted(
                (folder / "appendonlydir").glob("*.incr.aof")
            )
        kill_all({server.child.pid})
        await wait_until(lambda: not server.child.runs)
        with log.open("ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nword\r\n$5\r\nnev")
        await server.restart()
        async with redis.asyncio.Redis.from_url(server.url) as client:
            assert await client.get("word") == b"acknowledged"
    finally:
        await server.stop()


def test_a_server_on_the_path_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_machine_with(tmp_path, monkeypatch, valkey_server="Valkey server v=8.1.4 sha=00000000:0 malloc=jemalloc bits=64")
    assert find_redis() == (tmp_path / "valkey-server", "8.1.4")
    a_machine_with(tmp_path, monkeypatch, redis_server="Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc bits=64")
    assert find_redis() == (tmp_path / "redis-server", "7.0.15")


def test_a_server_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_machine_with(
        tmp_path, monkeypatch, redis_server="Redis server v=5.0.7 sha=00000000:0", valkey_server="Valkey server v=7.2.9"
    )
    assert find_redis() == (tmp_path / "valkey-server", "7.2.9")


def test_without_any_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WHEEL, lambda _: None)
    a_machine_with(tmp_path, monkeypatch)
    with pytest.raises(
        CannotRun, match=r"install redis-server or valkey-server 6\.2 or newer .*apt-get install redis-server"
    ):
        find_redis()


def test_without_any_but_an_old_one_that_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WHEEL, lambda _: None)
    a_machine_with(tmp_path, monkeypatch, redis_server="Redis server v=6.0.16 sha=00000000:0")
    with pytest.raises(CannotRun, match=r"redis-server is 6\.0\.16"):
        find_redis()

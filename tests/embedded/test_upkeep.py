"""What dies while `dropwave up` runs is started again; what dies again and again stops it."""

import asyncio
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.embedded.child import Child, Insistence
from engine.embedded.running import find_running
from engine.embedded.upkeep import Upkeep
from engine.errors import CannotRun
from tests.embedded.command import Up
from tests.embedded.crowd import Crowd, audited
from tests.support.processes import kill_all, processes_in
from tests.support.waiting import wait_until, wait_until_sync

Start = Callable[..., Up]

DEATHS = ["gateway", "writer", "steward", "redis", "postgres"]


async def test_whatever_dies_under_claims_comes_back_and_nothing_is_lost(start: Start) -> None:
    up = await asyncio.to_thread(lambda: start("--workers", "2").ready())
    running = find_running(up.data)
    assert running
    async with Crowd(up, running) as crowd:
        await crowd.apply()
        crowd.begin()
        await crowd.more(20)
        for role in DEATHS:
            seen = len(up.restarted())
            await asyncio.to_thread(up.kill, role)
            await wait_until(lambda seen=seen: len(up.restarted()) > seen, 30)
            await crowd.more(20)
        assert [name.partition("-")[0] for name in up.restarted()] == DEATHS

        at_once = ["redis", "postgres", "writer"]
        kill_all(set().union(*map(up.pids, at_once)))
        await wait_until(lambda: Counter(up.restarted()[len(DEATHS) :]) == Counter(at_once), 30)
        await crowd.more(20)
        await crowd.hold()
        assert crowd.wrong == []
        assert await crowd.restarts_counted() == Counter(DEATHS + at_once)
    await audited(running)


def test_what_dies_again_and_again_stops_everything_with_the_reason(start: Start, folder: Path) -> None:
    keys = folder / "keys.pem"
    key = Ed25519PrivateKey.generate().public_key()
    keys.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    settings = {"DROPWAVE_JWT_KEYS_FILE": str(keys), "DROPWAVE_RESTARTS_PER_MINUTE_MAX": "2"}
    up = start(environment=settings).ready()
    keys.unlink()  # the gateway goes on with the keys that it has; the next one has none
    up.kill("gateway")
    assert up.status() == 3
    log = up.data / "logs" / "gateway-1.log"
    reason = (
        f"{keys} (DROPWAVE_JWT_KEYS_FILE) is no file of public keys, PEM or JWKS:"
        " it cannot be read: No such file or directory"
    )
    assert f"gateway-1 died: killed by SIGKILL (log: {log}); it is started again\n" in up.said
    assert f"\ndropwave: gateway-1 did not start: {reason} (log: {log})\n" in up.said
    assert "\ngateway-1 ended 3 times within 60 s, the last time with exit status 2. Its last lines:\n" in up.said
    assert up.said.endswith(f"dropwave: {reason}\n")
    assert up.stopped() == ["gateway-1", "writer", "steward", "postgres", "redis"]
    assert not processes_in(up.data)


@pytest.mark.long
def test_a_ctrl_c_ends_what_is_being_started_again_too(start: Start) -> None:
    up = start().ready()
    running = find_running(up.data)
    assert running
    port = int(re.findall(r":(\d+)/", running.redis_url)[0])
    up.kill("redis")
    with socket.create_server(("127.0.0.1", port)):  # so that it goes on being started
        wait_until_sync(lambda: "Redis 6.2.14 did not start again: " in up.said)
        up.interrupt()
        assert up.status() == 0
    assert up.stopped() == ["gateway-1", "writer", "steward", "postgres", "redis"]
    assert not processes_in(up.data)


# The part by itself ---------------------------------------------------------------------------------------------------


class Shell:
    """A part that is a line for the shell."""

    role = "shell"

    def __init__(self, folder: Path, line: str) -> None:
        self.child = Child("shell", folder / "shell.log", [Insistence(signal.SIGTERM, 5.0)])
        self.line = line

    async def restart(self) -> None:
        self.child.start(["/bin/sh", "-c", self.line], environment={}, folder=self.child.log_path.parent)

    async def stop(self) -> None:
        await self.child.stop()

    def hurry(self) -> None:
        self.child.hurry()

    def trouble(self, what: str) -> str:
        return f"shell {what}"


class Kept:
    """An upkeep, and what it said and counted."""

    def __init__(self, shell: Shell, restarts_max: int, *needs: Upkeep) -> None:
        self.shell = shell
        self.said: list[str] = []
        self.counted: list[str] = []
        self.upkeep = Upkeep(shell, needs, restarts_max, self.said.append, self.counted.append)


async def test_further_restarts_pause_longer_and_longer_until_one_is_too_many(tmp_path: Path) -> None:
    kept = Kept(Shell(tmp_path, "echo a last word; exit 7"), 4)
    await kept.shell.restart()
    began_s = time.monotonic()
    with pytest.raises(CannotRun) as caught:
        await asyncio.wait_for(kept.upkeep.keep(), 20)
    assert str(caught.value) == (
        "shell died\nshell ended 5 times within 60 s, the last time with exit status 7. Its last lines:\na last word"
    )
    assert kept.counted == ["shell"] * 4
    assert time.monotonic() - began_s >= 0.1 + 0.2 + 0.4
    runs_again_s = [float(re.findall(r"[\d.]+", said)[0]) for said in kept.said if "runs again" in said]
    assert [after_s >= pause_s for after_s, pause_s in zip(runs_again_s[1:], (0.1, 0.2, 0.4), strict=True)] == [
        True
    ] * 3


async def test_the_first_restart_is_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAUSE_S", "PAUSE_MAX_S"):
        monkeypatch.setattr(f"engine.embedded.upkeep.{name}", 100.0)
    kept = Kept(Shell(tmp_path, "exit 7"), 4)
    await kept.shell.restart()
    keeping = asyncio.ensure_future(kept.upkeep.keep())
    await wait_until(lambda: kept.counted == ["shell"])
    keeping.cancel()
    await kept.shell.stop()


@pytest.mark.parametrize(("line", "how"), [("exit 7", "exit status 7"), ("kill -9 $$", "SIGKILL")])
async def test_none_is_started_again_where_that_is_not_wanted(tmp_path: Path, line: str, how: str) -> None:
    kept = Kept(Shell(tmp_path, line), 0)
    await kept.shell.restart()
    with pytest.raises(CannotRun, match=f"shell ended with {how}"):
        await asyncio.wait_for(kept.upkeep.keep(), 20)
    assert kept.said == []


async def test_deaths_of_long_ago_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.embedded.upkeep.WINDOW_S", 0.0)
    kept = Kept(Shell(tmp_path, "exit 7"), 1)
    await kept.shell.restart()
    keeping = asyncio.ensure_future(kept.upkeep.keep())
    await wait_until(lambda: len(kept.counted) >= 3 or keeping.done())
    assert not keeping.done()
    keeping.cancel()
    await kept.shell.stop()


async def test_it_waits_for_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    server = Kept(Shell(tmp_path / "server", "exec sleep 60"), 3)
    role = Kept(Shell(tmp_path, "exit 7"), 3, server.upkeep)
    await role.shell.restart()  # the server is not there
    keeping = asyncio.ensure_future(role.upkeep.keep())
    await wait_until(lambda: role.said == ["shell died; it is started again"])
    assert role.counted == []
    role.shell.line = "exec sleep 60"
    await server.shell.restart()
    await wait_until(lambda: role.counted == ["shell"])
    assert role.upkeep.is_up
    keeping.cancel()
    for kept in (role, server):
        await kept.shell.stop()

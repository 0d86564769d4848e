"""`dropwave up` as a person meets it: a program that is started, answers, is interrupted, and leaves nothing behind."""

import json
import os
import re
import signal
import socket
import stat
import urllib.request
from pathlib import Path

from engine.embedded.running import Running, find_running
from tests.support.processes import arguments_of, processes_in
from tests.support.waiting import wait_until_sync


def get(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status, answer.read()


def is_file_for_others(path: Path) -> bool:
    """Whether another user may do anything with it; Postgres takes some away while one looks."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o077)


IN_ORDER = ["gateway-1, gateway-2", "writer", "steward", "postgres", "redis"]


def test_a_run_from_start_to_ctrl_c(start, folder: Path) -> None:
    up = start("--workers", "2").ready()
    running = find_running(up.data)
    assert isinstance(running, Running)
    assert running.pid == up.process.pid
    assert get(f"{running.url}/healthz")[0] == 200

    # What belongs to it is private, and no secret is among anybody's arguments.
    assert (up.data / "up.json").stat().st_mode & 0o777 == 0o600
    assert (up.data / "secret").stat().st_mode & 0o777 == 0o600
    assert not [path for path in up.data.rglob("*") if is_file_for_others(path)]
    secrets = [(up.data / "secret").read_text().strip(), running.redis_url, running.database_url]
    for pid in processes_in(up.data) | {up.process.pid}:
        assert not [secret for secret in secrets if secret in arguments_of(pid)]
    assert not [secret for secret in secrets if secret in up.said]

    # Both gateways listen on the one port that was drawn.
    assert len(up.pids("gateway")) == 2
    assert all(f"gateway-{no}: Redis 127.0.0.1:" in up.said for no in (1, 2))

    # A second one on the same folder is refused, and the first goes on.
    second = start("--workers", "2")
    assert second.status() == 3
    assert (
        f"{up.data} is in use by process {up.process.pid}: stop that one, or name another folder with --data"
        in second.said
    )

    up.interrupt()
    assert up.status() == 0
    assert up.stopped() == IN_ORDER
    assert not processes_in(up.data)
    assert not (up.data / "up.json").exists()
    assert find_running(up.data) is None


def test_kill_minus_nine_leaves_no_process_and_the_next_run_goes_on(start) -> None:
    up = start().ready()
    first = json.loads((up.data / "up.json").read_text())
    for role in ("redis", "postgres", "writer"):  # what is being started again at that moment
        up.kill(role)
    up.process.kill()
    up.process.wait()
    wait_until_sync(lambda: not processes_in(up.data))
    assert find_running(up.data) is None, "a file that was left by a crash is not believed"

    again = start().ready()
    second = find_running(again.data)
    assert second
    assert second.pid != first["pid"]
    assert second.redis_url == first["redis_url"]
    again.process.send_signal(signal.SIGTERM)
    assert again.status() == 0


def test_a_taken_port_is_told_before_anything_is_started(start) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        up = start("--port", str(port))
        assert up.status() == 3
    assert (
        f"dropwave: port {port} is taken by another program: name another with --port (0 draws a free one)" in up.said
    )
    assert not (up.data / "redis").exists()


def test_replicas_are_not_promised_where_there_are_none(start) -> None:
    up = start("--ack", "replicated")
    assert up.status() == 3
    assert "DROPWAVE_REDIS_URL" in up.said
    assert "min-replicas-to-write 1 (or more) and min-replicas-max-lag 10 (or less)" in up.said
    assert not list((up.data / "redis").glob("*"))


def test_an_interrupted_start_leaves_nothing_behind(start) -> None:
    up = start()
    wait_until_sync(lambda: "Postgres 18 at" in up.said, 30)
    up.interrupt()
    assert up.status() == 0
    assert "ready at" not in up.said
    assert not processes_in(up.data)


def test_a_second_ctrl_c_does_not_wait_for_what_hangs(start) -> None:
    up = start().ready()
    (writer,) = up.pids("writer")
    os.kill(writer, signal.SIGSTOP)
    up.interrupt()
    wait_until_sync(lambda: up.stopped() == ["gateway-1"])
    up.interrupt()
    assert up.process.wait(5) == 0
    assert up.stopped() == ["gateway-1", *IN_ORDER[1:]]
    assert not processes_in(up.data)


def test_servers_that_were_named_are_neither_started_nor_stopped(start, redis_url: str, database_url: str) -> None:
    environment = {"DROPWAVE_REDIS_URL": redis_url, "DROPWAVE_DATABASE_URL": database_url}
    up = start(environment=environment).ready()
    assert "Redis at 127.0.0.1:" in up.said
    assert redis_url not in up.said
    up.interrupt()
    assert up.status() == 0
    assert up.stopped() == ["gateway-1", "writer", "steward"]
    assert not (up.data / "redis").exists()
    for address in (redis_url, database_url):
        port = int(re.findall(r":(\d+)/", address)[0])
        socket.create_connection(("127.0.0.1", port), 5).close()

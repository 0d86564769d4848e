"""How a running `up` is found, and how a role says that it is ready."""

import os
from pathlib import Path

import pytest

from engine.embedded.lock import FolderLock
from engine.embedded.running import Running, address_of, find_running, publish, withdraw
from engine.readiness import READY_VARIABLE, announce_ready

RUNNING = Running(
    pid=os.getpid(),
    url="http://127.0.0.1:8080",
    redis_url="redis://:secret@127.0.0.1:6379/0",
    database_url="postgresql://dropwave:secret@127.0.0.1:5432/dropwave",
    started_at="2026-01-01T00:00:00+00:00",
)


async def test_it_is_found_while_it_holds_the_folder(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    await lock.take()
    assert find_running(tmp_path) is None
    publish(tmp_path, RUNNING)
    assert find_running(tmp_path) == RUNNING
    withdraw(tmp_path)
    assert find_running(tmp_path) is None
    lock.release()


async def test_a_file_that_a_crash_left_is_not_believed(tmp_path: Path) -> None:
    publish(tmp_path, RUNNING)
    assert find_running(tmp_path) is None, "its process lives, but holds no lock: the number was given out again"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "1"}'])
async def test_a_spoilt_file_is_no_run(tmp_path: Path, text: str) -> None:
    (tmp_path / "up.json").write_text(text)
    assert find_running(tmp_path) is None


def test_no_folder_is_no_run(tmp_path: Path) -> None:
    assert find_running(tmp_path / "nothing") is None


async def test_a_lock_ends_with_its_release_and_may_be_taken_again(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    await first.take()
    assert second.is_held()
    assert second.holder() == os.getpid()
    first.release()
    first.release()
    assert not second.is_held()
    await second.take()
    second.release()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@127.0.0.1:6379/0", "127.0.0.1:6379/0"),
        ("postgresql://dropwave:secret@db.example/dropwave", "db.example/dropwave"),
        ("postgresql://dropwave:secret@[::1]:5432/dropwave", "[::1]:5432/dropwave"),
        ("redis://localhost", "localhost"),
    ],
)
def test_an_address_is_shown_without_its_secret(url: str, shown: str) -> None:
    assert address_of(url) == shown


def test_a_role_says_once_that_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setenv(READY_VARIABLE, str(writing))
    announce_ready("Redis 127.0.0.1:6379/0,\nPostgres 127.0.0.1:5432/dropwave")
    announce_ready("again")
    assert os.read(reading, 1_000) == b"Redis 127.0.0.1:6379/0, Postgres 127.0.0.1:5432/dropwave\n"
    assert os.read(reading, 1_000) == b"", "the pipe is closed"
    os.close(reading)


@pytest.mark.parametrize("value", [None, "", "not a number", "9999"])
def test_where_nobody_waits_being_ready_is_no_trouble(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv(READY_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(READY_VARIABLE, value)
    announce_ready("Redis")

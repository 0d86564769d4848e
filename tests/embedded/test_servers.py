"""What holds for embedded Redis and embedded Postgres alike."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.embedded.server import EmbeddedServer
from engine.errors import CannotRun
from tests.embedded.conftest import keep_word, kept_word
from tests.support.processes import arguments_of, kill_all, processes_in
from tests.support.waiting import wait_until

NewServer = Callable[[], EmbeddedServer]

_HOLDER = """
import asyncio, sys
from pathlib import Path
from tests.embedded.conftest import KINDS

async def hold():
    server = KINDS[sys.argv[1]](Path(sys.argv[2]))
    print(await server.start(), flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


@contextmanager
def holder_of(kind: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another program that runs a server on `folder`, and the server's address; it is killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, kind, str(folder)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        try:
            yield holder, holder.stdout.readline().strip()
        finally:
            holder.kill()


@pytest.mark.loops
async def test_a_restart_keeps_data_port_and_password(new_server: NewServer) -> None:
    first = new_server()
    url = await first.start()
    await keep_word(url, "kept")
    await first.stop()
    again = new_server()
    assert await again.start() == url
    assert await kept_word(url) == "kept"


async def test_stopping_ends_every_process_and_may_be_done_twice(new_server: NewServer, folder: Path) -> None:
    server = new_server()
    await server.start()
    assert processes_in(folder)
    await server.stop()
    assert not processes_in(folder)
    await server.stop()


async def test_a_kill_of_everything_does_not_prevent_the_next_start(new_server: NewServer, folder: Path) -> None:
    server = new_server()
    url = await server.start()
    await keep_word(url, "acknowledged")
    kill_all(processes_in(folder))
    await wait_until(lambda: not processes_in(folder))
    await server.stop()
    assert await kept_word(await new_server().start()) == "acknowledged"


async def test_what_was_killed_starts_again_under_the_same_address(new_server: NewServer) -> None:
    server = new_server()
    url = await server.start()
    await keep_word(url, "acknowledged")
    kill_all({server.child.pid})  # alone: what it has forked notices that by itself
    await wait_until(lambda: not server.child.runs)
    await server.restart()
    assert server.url == url
    assert await kept_word(url) == "acknowledged"


async def test_where_its_port_is_taken_it_does_not_start_again_elsewhere(new_server: NewServer, folder: Path) -> None:
    server = new_server()
    url = await server.start()
    kill_all({server.child.pid})
    await wait_until(lambda: not server.child.runs)
    with socket.create_server(("127.0.0.1", server.port)):
        with pytest.raises(CannotRun, match=r"did not start again: .* \(log: "):
            await server.restart()
        assert not processes_in(folder)
    await server.restart()
    assert server.url == url


async def test_a_killed_parent_leaves_no_server_behind(kind: str, new_server: NewServer, folder: Path) -> None:
    with holder_of(kind, folder / "server") as (_, url):
        await keep_word(url, "acknowledged")
        assert processes_in(folder)
    server = new_server()  # at once: it waits until the last server of the killed program has let go of the folder
    assert await kept_word(await server.start()) == "acknowledged"
    await server.stop()
    assert not processes_in(folder)


async def test_a_second_start_on_the_same_folder_names_the_process_that_runs(
    kind: str, new_server: NewServer, folder: Path
) -> None:
    with holder_of(kind, folder / "server") as (holder, url):
        with pytest.raises(CannotRun, match=f"in use by process {holder.pid}: stop that one, or name another folder"):
            await new_server().start()
        await keep_word(url, "undisturbed")
    await wait_until(lambda: not processes_in(folder))


async def test_the_lock_is_held_within_one_program_too(new_server: NewServer) -> None:
    await new_server().start()
    with pytest.raises(CannotRun, match=f"in use by process {os.getpid()}"):
        await new_server().start()


async def test_a_port_that_was_taken_meanwhile_is_replaced(new_server: NewServer) -> None:
    server = new_server()
    await server.start()
    port = server.port
    await server.stop()
    with socket.create_server(("127.0.0.1", port)):
        url = await server.start()
        assert server.port != port
        await keep_word(url, "elsewhere")


async def test_a_port_lost_between_look_and_bind_is_replaced(
    new_server: NewServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ports = iter([taken.getsockname()[1], free.getsockname()[1]])
        free.close()
        monkeypatch.setattr("engine.embedded.server.free_port", lambda _: next(ports))
        await keep_word(await new_server().start(), "second try")


async def test_a_ctrl_c_in_the_terminal_does_not_reach_the_server(new_server: NewServer) -> None:
    server = new_server()
    await server.start()
    assert os.getpgid(server.child.pid) != os.getpgid(0)
    assert os.getsid(server.child.pid) != os.getsid(0)


async def test_the_password_shows_nowhere(new_server: NewServer, folder: Path) -> None:
    server = new_server()
    url = await server.start()
    password = url.split("@")[0].rpartition(":")[2]
    assert len(password) == 64
    for pid in processes_in(folder):
        assert password not in arguments_of(pid)
    assert password not in server.where
    assert password not in server.child.log_path.read_text()
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert path.stat().st_mode & 0o077 == 0, f"{path} can be read by others"


async def test_nobody_gets_in_without_the_password(new_server: NewServer) -> None:
    url = await new_server().start()
    wrong = url.replace(url.split("@")[0].rpartition(":")[2], "guess")
    with pytest.raises(Exception, match=r"(?i)password"):
        await keep_word(wrong, "intruder")


async def test_a_server_that_hangs_is_stopped_all_the_same(new_server: NewServer, folder: Path) -> None:
    server = new_server()
    await server.start()
    os.kill(server.child.pid, signal.SIGSTOP)
    server.hurry()
    await server.stop()
    await wait_until(lambda: not processes_in(folder))


async def test_a_broken_configuration_is_told_in_one_line(
    kind: str, new_server: NewServer, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    broken = folder / "broken.conf"
    broken.write_text("no-such-directive = 1\n")
    monkeypatch.setattr("engine.embedded.files.deploy_file", lambda _: broken)
    server = new_server()
    with pytest.raises(CannotRun) as caught:
        await server.start()
    reason = {
        "redis": "Bad directive or wrong number of arguments",
        "postgres": f'FATAL:  configuration file "{server.folder}/cluster/postgresql.conf" contains errors',
    }[kind]
    assert str(caught.value) == f"{server.title} did not start: {reason} (log: {server.child.log_path})"

"""Backup and restore, as docs/operations.md has it: beside a living Redis, and where that is lost too."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from engine.embedded.postgres import find_postgres
from engine.embedded.running import Running, find_running
from tests.embedded.command import Up
from tests.embedded.crowd import Crowd, audited
from tests.support.waiting import wait_until

Start = Callable[..., Up]


async def test_a_restored_ledger_gets_what_redis_has_and_without_redis_is_what_remains(
    start: Start, folder: Path
) -> None:
    # The log is cut right behind the cursor, so that the ledger has to get its claims from the holders.
    up = await asyncio.to_thread(lambda: start(environment={"DROPWAVE_LOG_TRIM_BEHIND_MS": "1"}).ready())
    running = running_of(up)
    async with Crowd(up, running) as crowd:
        await crowd.apply()
        crowd.begin()
        await crowd.more(50)
        await program(running, "pg_basebackup", "-D", folder / "copy", "--checkpoint=fast")
        await program(running, "pg_dump", "-Fc", "-f", folder / "dump")
        await crowd.more(100)
        await program(
            running, "pg_restore", "--clean", "--if-exists", "--single-transaction", "-d", "dropwave", folder / "dump"
        )
        await crowd.more(50)
        await crowd.hold()
        assert crowd.wrong == []
    await audited(running)
    given = crowd.given
    assert "ledger was refilled" in (up.data / "logs" / "steward.log").read_text()

    # Now Redis is lost, and of Postgres there is the copy.
    up.interrupt()
    assert up.status() == 0
    shutil.rmtree(up.data / "redis")
    replace_cluster(up.data / "postgres" / "cluster", folder / "copy")
    again = await asyncio.to_thread(lambda: start().ready())
    running = running_of(again)
    async with Crowd(again, running) as crowd:
        assert await wait_until(lambda: crowd.ask("first"))
        await audited(running)
        # Until when the ledger goes is told by the report while nobody claims again: who has a later claim lost it.
        report = json.loads((await asyncio.to_thread(again.command, "report", "try-it", "--json")).stdout)
        end = report["total"]["last_claim_at"]
        kept = {account for account, claim in given.items() if claim.claimed_at <= end}
        assert 50 <= len(kept) == report["total"]["claimed"] - 1 < len(given) - 100
        for account, claim in given.items():
            told = await wait_until(lambda account=account: crowd.ask(account))
            assert (told == claim) == (told.code == claim.code) == (account in kept), f"the ledger ends at {end}"
    await audited(running)


def running_of(up: Up) -> Running:
    running = find_running(up.data)
    assert running
    return running


async def program(running: Running, name: str, *arguments: str | Path) -> None:
    """One of Postgres's own programs, on the ledger of that `up`."""
    address = urlsplit(running.database_url)
    environment = {
        "PGHOST": str(address.hostname),
        "PGPORT": str(address.port),
        "PGUSER": str(address.username),
        "PGPASSWORD": str(address.password),
        "PGDATABASE": address.path.removeprefix("/"),
    }
    command = [str(find_postgres() / name), *map(str, arguments)]
    done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def replace_cluster(cluster: Path, copy: Path) -> None:
    """The copy in its place, with its owner: the account that Postgres runs as."""
    owner = cluster.stat()
    shutil.rmtree(cluster)
    shutil.move(copy, cluster)
    for path in (cluster, *cluster.rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)

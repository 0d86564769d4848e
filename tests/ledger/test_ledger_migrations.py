"""Migrations: forward only, each once, whoever starts them and how often."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from engine.errors import CannotRun
from engine.ledger.database import Ledger
from engine.ledger.migrate import FOLDER, migrate, read_migrations, require_migrated
from engine.settings import Settings
from tests.ledger.samples import rows_of

ALL = [migration.name for migration in read_migrations()]


@pytest.fixture
async def empty_url(database_url: str) -> AsyncIterator[str]:
    """Address of a database without any table."""
    server, _, name = database_url.rpartition("/")
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f"create database {name}_empty template template0")
        yield f"{server}/{name}_empty"
        await connection.execute(f"drop database {name}_empty with (force)")
    finally:
        await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three small migrations."""
    for number, name in enumerate(("first", "second", "third"), start=1):
        (tmp_path / f"000{number}_{name}.sql").write_text(f"create table {name} (id integer)")
    return tmp_path


async def test_an_empty_database_gets_everything_once(empty_url: str, settings: Settings) -> None:
    assert await migrate(empty_url, settings) == ALL
    assert await migrate(empty_url, settings) == []
    ledger = await Ledger.connect(empty_url, settings)
    await require_migrated(ledger)
    await ledger.close()


async def test_many_at_once_apply_each_migration_once(empty_url: str, settings: Settings, folder: Path) -> None:
    applied = await asyncio.gather(*(migrate(empty_url, settings, folder) for _ in range(6)))
    assert sorted(name for names in applied for name in names) == ["0001_first", "0002_second", "0003_third"]
    assert len(await rows_of(empty_url, "select * from migrations")) == 3


async def test_several_processes_at_once(empty_url: str) -> None:
    program = (
        "import asyncio, sys; from engine.ledger.migrate import migrate; from engine.settings import Settings;"
        "print(','.join(asyncio.run(migrate(sys.argv[1], Settings()))))"
    )
    running = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, empty_url, stdout=asyncio.subprocess.PIPE)
        for _ in range(3)
    ]
    said = [(await process.communicate())[0].decode().strip().splitlines()[-1:] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sorted(name for lines in said for names in lines for name in names.split(",") if name in ALL) == ALL


async def test_a_changed_migration_is_refused(empty_url: str, settings: Settings, folder: Path) -> None:
    await migrate(empty_url, settings, folder)
    (folder / "0002_second.sql").write_text("create table second (id bigint)")
    with pytest.raises(CannotRun, match="0002_second was changed after it was applied"):
        await migrate(empty_url, settings, folder)


async def test_a_missing_migration_is_refused(empty_url: str, settings: Settings, folder: Path) -> None:
    await migrate(empty_url, settings, folder)
    (folder / "0002_second.sql").unlink()
    with pytest.raises(CannotRun, match="0002_second was applied to the ledger, but its file is missing"):
        await migrate(empty_url, settings, folder)


async def test_a_newer_database_is_refused(empty_url: str, settings: Settings, folder: Path) -> None:
    await migrate(empty_url, settings, folder)
    (folder / "0003_third.sql").unlink()
    with pytest.raises(CannotRun, match="newer than this program: it has migration 0003_third"):
        await migrate(empty_url, settings, folder)


async def test_a_migration_that_would_come_behind_is_refused(empty_url: str, settings: Settings, folder: Path) -> None:
    (folder / "0002_second.sql").rename(folder / "0009_second.sql")
    await migrate(empty_url, settings, folder)
    (folder / "0004_late.sql").write_text("create table late (id integer)")
    with pytest.raises(CannotRun, match="0004_late would come behind 0009_second"):
        await migrate(empty_url, settings, folder)


async def test_a_migration_that_fails_leaves_nothing(empty_url: str, settings: Settings, folder: Path) -> None:
    (folder / "0002_second.sql").write_text("create table half (id integer); select no_such_function()")
    with pytest.raises(Exception, match="no_such_function"):
        await migrate(empty_url, settings, folder)
    assert [row["name"] for row in await rows_of(empty_url, "select name from migrations")] == ["0001_first"]
    assert (await rows_of(empty_url, "select to_regclass('half') as half"))[0]["half"] is None


async def test_a_ledger_without_its_schema_says_what_to_do(empty_url: str, settings: Settings) -> None:
    ledger = await Ledger.connect(empty_url, settings)
    try:
        with pytest.raises(CannotRun, match=f"lacks {ALL[0]}.*dropwave migrate"):
            await require_migrated(ledger)
    finally:
        await ledger.close()


@pytest.mark.parametrize(
    ("names", "complaint"),
    [(["0001_one.sql", "0001_two.sql"], "two migrations have the number 0001"), (["1_one.sql"], "is not named like")],
)
def test_names_of_files(tmp_path: Path, names: list[str], complaint: str) -> None:
    for name in names:
        (tmp_path / name).write_text("select 1")
    with pytest.raises(CannotRun, match=complaint):
        read_migrations(tmp_path)


def test_the_folder_of_this_program_is_whole() -> None:
    assert read_migrations(FOLDER)[0].name == "0001_first_ledger"

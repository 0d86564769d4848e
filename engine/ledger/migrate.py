"""Bringing a database to this program's schema: forward only, each file once.

A migration is a file `migrations/NNNN_what_it_does.sql`. Each runs in a transaction of its own that
also keeps its name and the hash of its content, under a lock that is taken anew each time, so that
several may start at once. A file that was applied may not change or go away any more: two databases
at the same number would no longer be the same.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import structlog
from msgspec import Struct
from msgspec.structs import replace

from engine.errors import CannotRun
from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries
from engine.settings import Settings

FOLDER = Path(__file__).parent / "migrations"

MIGRATION_TIMEOUT_MS = 15 * 60_000
"""For one statement of a migration, and for waiting on somebody else's: a new index over a campaign's
claims takes minutes, where a statement of the service takes none."""

_SQL = load_queries("migrate")
_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")

log = structlog.get_logger(__name__)


class Migration(Struct, frozen=True):
    """One file: its name without the ending, its text, and the hash by which a database knows it."""

    name: str
    text: str

    @property
    def hash(self) -> str:
        """SHA-256 of the text, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    """The migrations of that folder in their order. CannotRun where a name is malformed or a number stands twice."""
    files = sorted(folder.glob("*.sql"))
    for before, file in zip([None, *files], files, strict=False):
        if not _NAME.fullmatch(file.name):
            raise CannotRun(f"{file.name} is not named like 0001_first_ledger.sql")
        if before is not None and before.name[:4] == file.name[:4]:
            raise CannotRun(f"two migrations have the number {file.name[:4]}: {before.name} and {file.name}")
    return [Migration(file.stem, file.read_text("utf-8")) for file in files]


async def migrate(url: str, settings: Settings, folder: Path = FOLDER) -> list[str]:
    """Apply what the database lacks; the names of what was applied, in order, empty where nothing was missing.

    Raises CannotRun where an applied migration was changed or is missing, or where the database is newer
    than this program; LedgerUnavailable where it cannot be reached.
    """
    migrations = read_migrations(folder)
    patient = replace(settings, ledger_timeout_ms=MIGRATION_TIMEOUT_MS, ledger_connections_max=1)
    ledger = await Ledger.connect(url, patient)
    applied: list[str] = []
    try:
        while (name := await _apply_next(ledger, migrations)) is not None:
            log.info("migration applied", migration=name)
            applied.append(name)
    finally:
        await ledger.close()
    return applied


async def require_migrated(ledger: Ledger, folder: Path = FOLDER) -> None:
    """Raise CannotRun, with the way out, unless the database has exactly this program's schema."""
    async with ledger.snapshot() as connection:
        present = await connection.fetchval(_SQL["has_migrations"])
        known = await _applied(connection) if present else {}
    lacking = pending(read_migrations(folder), known)
    if lacking:
        names = ", ".join(migration.name for migration in lacking)
        raise CannotRun(f"the ledger lacks {names}: run `dropwave migrate`")


def pending(migrations: list[Migration], applied: dict[str, str]) -> list[Migration]:
    """The migrations that a database lacks which has those applied (name to hash). CannotRun where they disagree."""
    known = {migration.name: migration for migration in migrations}
    newest = migrations[-1].name if migrations else ""
    for name, content_hash in applied.items():
        if name not in known and name > newest:
            raise CannotRun(
                f"the ledger is newer than this program: it has migration {name}, the newest here is {newest}"
            )
        if name not in known:
            raise CannotRun(f"migration {name} was applied to the ledger, but its file is missing here")
        if known[name].hash != content_hash:
            raise CannotRun(f"migration {name} was changed after it was applied to the ledger; add a new one instead")
    lacking = [migration for migration in migrations if migration.name not in applied]
    if lacking and applied and lacking[0].name < max(applied):
        raise CannotRun(
            f"migration {lacking[0].name} would come behind {max(applied)}, which is applied: give it a higher number"
        )
    return lacking


async def _apply_next(ledger: Ledger, migrations: list[Migration]) -> str | None:
    async with ledger.transaction() as connection:
        await connection.execute(_SQL["lock_migrations"])
        await connection.execute(_SQL["make_migrations"])
        lacking = pending(migrations, await _applied(connection))
        if not lacking:
            return None
        await connection.execute(lacking[0].text)
        await connection.execute(_SQL["keep_migration"], lacking[0].name, lacking[0].hash)
        return lacking[0].name


async def _applied(connection: Any) -> dict[str, str]:
    rows = await connection.fetch(_SQL["applied_migrations"])
    return {row["name"]: row["hash"] for row in rows}

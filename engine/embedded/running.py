"""Where a running `dropwave up` is found: `<data>/up.json`, readable by its user alone."""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from engine.embedded.files import storage, write_private
from engine.embedded.lock import FolderLock


class Running(Struct, frozen=True):
    """An `up` and how to reach its parts. The addresses hold passwords."""

    pid: int
    url: str
    """Of the gateways."""
    redis_url: str
    database_url: str
    started_at: str
    """RFC 3339, UTC."""


def publish(data_folder: Path, running: Running) -> None:
    """Make it findable, all at once."""
    write_private(_file(data_folder), msgspec.json.encode(running).decode() + "\n")


def withdraw(data_folder: Path) -> None:
    """The reverse; more than once is allowed."""
    with storage(data_folder):
        _file(data_folder).unlink(missing_ok=True)


def find_running(data_folder: Path) -> Running | None:
    """The `up` that runs on this data folder, or None. CannotRun where the folder is another user's.

    A file that was left by a crash is not believed: its process has to hold the folder's lock.
    """
    with storage(data_folder):
        try:
            running = msgspec.json.decode(_file(data_folder).read_bytes(), type=Running)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None
    lock = FolderLock(data_folder)
    return running if lock.is_held() and lock.holder() == running.pid else None


def address_of(url: str) -> str:
    """Host, port and database of a server's URL: what may be shown, without user and password."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or "localhost"
    return f"{host}:{parts.port}{parts.path}" if parts.port else f"{host}{parts.path}"


def _file(data_folder: Path) -> Path:
    return data_folder / "up.json"

"""Files of a data folder: private, whole or not there at all; and the configurations that ship with the program."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import CannotRun

_PACKAGE = Path(__file__).parents[1]

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_DISK_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "Short write while writing to the AOF file")


def deploy_file(name: str) -> Path:
    """A file of deploy/: of the package where it was installed from a wheel, else of the checkout."""
    for folder in (_PACKAGE / "deploy", _PACKAGE.parent / "deploy"):
        if (folder / name).is_file():
            return folder / name
    raise CannotRun(f"deploy/{name} is missing: this installation is not whole, install dropwave again")


def configuration(name: str, own: Iterable[str]) -> str:
    """The text of a server's configuration in deploy/, and below it the lines that only this server has.

    Of two lines on one thing the last counts. It is copied, not included: the account that a server runs as may be
    unable to read the checkout, and what a server ran with stays beside its data.
    """
    return "\n".join([deploy_file(name).read_text("utf-8"), "# --- This server.", "", *own, ""])


@contextmanager
def storage(folder: Path) -> Iterator[None]:
    """Turns what goes wrong with files below `folder` into CannotRun with the way out."""
    try:
        yield
    except OSError as error:
        raise CannotRun(_storage_trouble(folder, error)) from error


def _storage_trouble(folder: Path, error: OSError) -> str:
    where = error.filename or folder
    if error.errno in _DISK_FULL:
        return disk_full(folder)
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where} belongs to another user or is protected: name another folder with --data, or change its owner"
    if error.errno == errno.EROFS:
        return f"{where} is on a read-only file system: name another folder with --data"
    return f"{where}: {os.strerror(error.errno or 0)}. Name another folder with --data"


def disk_full(folder: Path) -> str:
    """The line for a full disk under `folder`."""
    return f"no room left on the disk of {folder}: free some, or name a folder on another disk with --data"


def tells_of_full_disk(log: str) -> bool:
    """Whether a server's last words are those of a full disk."""
    return any(words in log for words in _DISK_FULL_WORDS)


def private_folder(folder: Path) -> None:
    """Make `folder` where it is missing, for this user only."""
    with storage(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def need_room(folder: Path, bytes_needed: int) -> None:
    """Refuse where the disk under `folder` surely has too little room for what is about to be made."""
    free = shutil.disk_usage(folder).free
    if free < bytes_needed:
        missing = f"{bytes_needed // 2**20} MB are needed, {free // 2**20} MB are free"
        raise CannotRun(f"{disk_full(folder)} ({missing})")


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all: a reader never sees half of it."""
    with storage(path.parent):
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise


def kept_secret(path: Path) -> str:
    """The secret in that file, 64 hex digits; drawn and kept there the first time."""
    with storage(path.parent):
        if not path.exists():
            write_private(path, secrets.token_hex(32) + "\n")
        return path.read_text("ascii").strip()

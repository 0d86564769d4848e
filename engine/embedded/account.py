"""Under which account Postgres runs: it refuses to be root, and a data folder of root's lets nobody else through.

Where this program is root, Postgres gets an account that exists already; none is made on somebody's machine. That
account needs to pass through the folders above its data and its program, /root for one. It gets exactly that, by an
entry of its own in their access lists: search, not read, and for nobody else (what `setfacl -m u:NAME:x` does).
"""

import os
import pwd
import stat
import struct
from pathlib import Path

from msgspec import Struct

from engine.errors import CannotRun

_CHOICES = ("postgres", "nobody")
"""`postgres`, where the machine has it, shares with nothing but another Postgres; `nobody` is everywhere."""

_ACCESS_LIST = "system.posix_acl_access"
_VERSION = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_OWNER, _USER, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFF_FFFF
_SEARCH = 1


class Account(Struct, frozen=True):
    """A user of this machine."""

    name: str
    user: int
    group: int


def account_for(cluster: Path) -> Account | None:
    """Who shall run Postgres on this data: its owner, else one of the choices. None: this process itself."""
    if os.geteuid() != 0:
        return None
    if cluster.exists():
        return _account(pwd.getpwuid(cluster.stat().st_uid))
    for name in _CHOICES:
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise CannotRun(
        "Postgres does not run as root, and this machine has no account `nobody`: run this as an ordinary user"
    )


def _account(entry: pwd.struct_passwd) -> Account:
    if entry.pw_uid == 0:
        raise CannotRun("Postgres does not run on data that belong to root: give the data folder to an ordinary user")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def let_through(account: Account, target: Path) -> None:
    """Let the account pass every folder above `target`. CannotRun with the command where there are no access lists."""
    for folder in reversed(target.resolve().parents):
        status = folder.stat()
        if _may_search(account, status):
            continue
        try:
            os.setxattr(folder, _ACCESS_LIST, _with_search(_access_list(folder, status.st_mode), account.user))
        except (OSError, AttributeError) as error:
            raise CannotRun(
                f"Postgres does not run as root, and {folder} lets no other user through: `chmod o+x {folder}`,"
                " or put the checkout and --data elsewhere, such as below /srv"
            ) from error


def _may_search(account: Account, status: os.stat_result) -> bool:
    if status.st_uid == account.user:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.group:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _access_list(folder: Path, mode: int) -> list[tuple[int, int, int]]:
    """The entries (kind, rights, id) of a folder; where it has none of its own, those that its mode stands for."""
    try:
        packed = os.getxattr(folder, _ACCESS_LIST)
    except OSError:
        return [(_OWNER, mode >> 6 & 7, _NO_ID), (_GROUP, mode >> 3 & 7, _NO_ID), (_OTHER, mode & 7, _NO_ID)]
    return list(_ENTRY.iter_unpack(packed[_VERSION.size :]))


def _with_search(entries: list[tuple[int, int, int]], user: int) -> bytes:
    """That list with search for the user, in the kernel's form: version 2, sorted by kind and id.

    The mask bounds what entries of users and groups grant, so search is added to it.
    """
    held = next((rights for kind, rights, identity in entries if (kind, identity) == (_USER, user)), 0)
    mask = next((rights for kind, rights, _ in entries if kind == _MASK), None)
    if mask is None:
        mask = next(rights for kind, rights, _ in entries if kind == _GROUP)
    others = [entry for entry in entries if (entry[0], entry[2]) != (_USER, user) and entry[0] != _MASK]
    ordered = sorted(
        [*others, (_USER, held | _SEARCH, user), (_MASK, mask | _SEARCH, _NO_ID)], key=lambda e: (e[0], e[2])
    )
    return _VERSION.pack(2) + b"".join(_ENTRY.pack(*entry) for entry in ordered)

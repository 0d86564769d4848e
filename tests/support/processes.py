"""Processes of this machine, as Linux tells of them in /proc."""

import contextlib
import os
import signal
from pathlib import Path


def processes_in(folder: Path) -> set[int]:
    """Every process of a data folder: servers work in it or below it, roles have it in their environment."""
    found = set()
    role = f"DROPWAVE_DATA={folder.resolve()}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            place = (entry / "cwd").readlink()
            environment = (entry / "environ").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # it has ended meanwhile
        if state != "Z" and (place.is_relative_to(folder.resolve()) or role in environment):
            found.add(int(entry.name))
    return found


def kill_all(pids: set[int]) -> None:
    """kill -9, as the kernel does when memory runs out. Some end by themselves as soon as others are dead."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def arguments_of(pid: int) -> str:
    """The command line of a process, as every user of the machine sees it."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()

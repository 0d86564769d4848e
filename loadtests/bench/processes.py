"""What processes use of the processor and of memory, from /proc: no helper, no permission, some milliseconds a look."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")


class Process(Struct, frozen=True):
    """One process. `cpu_s` contains its children that have ended and were waited for."""

    pid: int
    parent: int
    command: tuple[str, ...]
    cpu_s: float


def processes() -> dict[int, Process]:
    """All that run now."""
    found = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text("utf-8", "replace")
                command = (entry / "cmdline").read_text("utf-8", "replace").split("\0")
            except OSError:  # it has ended meanwhile
                continue
            fields = stat[stat.rindex(")") + 2 :].split()  # proc(5): field 3, the state, comes first here
            cpu_s = sum(map(int, fields[11:15])) / _TICKS_PER_S
            found[int(entry.name)] = Process(int(entry.name), int(fields[1]), tuple(filter(None, command)), cpu_s)
    return found


def cpu_by_name(names: Mapping[int, str]) -> dict[str, float]:
    """Seconds of processor that each name has used: a process belongs to the nearest of its ancestors with a name."""
    everything = processes()
    used = dict.fromkeys(names.values(), 0.0)
    for process in everything.values():
        pid = process.pid
        while pid in everything and pid not in names:
            pid = everything[pid].parent
        if pid in names:
            used[names[pid]] += process.cpu_s
    return used


def machine_cpu_s() -> dict[str, float]:
    """Seconds of processor of the whole machine, by proc(5): doing nothing, and taken by other guests of its host."""
    fields = (_PROC / "stat").read_text("ascii").split("\n", 1)[0].split()
    return {
        "idle": (int(fields[4]) + int(fields[5])) / _TICKS_PER_S,
        "steal": int(fields[8]) / _TICKS_PER_S,
    }


def resident_mb(pid: int) -> float:
    """Resident memory of a process, megabytes of 2**20 bytes."""
    pages = int((_PROC / str(pid) / "statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

"""The machine that a result belongs to: figures of two machines cannot be compared."""

import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Final

from engine.gateway import claims

_SYNCS: Final = 200


def machine(folder: Path) -> dict[str, str]:
    """Processor, memory, kernel, and what an fsync costs where the servers keep their data."""
    return {
        "processor": f"{os.cpu_count()} cores, {_processor()}",
        "kernel": platform.platform(),
        "fsync of 4 kB, median": f"{fsync_us(folder):.0f} µs",
        "python": " ".join(sys.version.split()),  # two builds of one version differ by a fifth; this tells which it is
        "engine": "compiled" if is_compiled() else "not compiled",
    }


def is_compiled() -> bool:
    """Whether the engine is that of a compiled wheel (`scripts/compile`): a side runs the one that is found here."""
    return not str(claims.__file__).endswith(".py")


def fsync_us(folder: Path) -> float:
    """Median of some writes of 4 kB, each synced."""
    path, took = folder / "fsync", []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for _ in range(_SYNCS):
            os.write(descriptor, b"x" * 4_096)
            began = time.perf_counter()
            os.fdatasync(descriptor)
            took.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(took) * 1e6


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())

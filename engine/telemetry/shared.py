"""Figures of several processes as one: they share the folder that PROMETHEUS_MULTIPROC_DIR names.

The variable has to be set before this module is first imported, and this module before prometheus_client. Any of
the processes can then show the figures of all. The folder is for processes of one machine that see one another:
containers that share a volume have process numbers of their own, and would write into each other's files.

What outlives a process is chosen by the kind of a figure: counters and histograms stay in the sums when their
process ends, so they never go back while another one takes its place; gauges of modes `live…` go with it.
"""

import os
import re
from pathlib import Path
from typing import Final

METRICS_FOLDER: Final = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
if METRICS_FOLDER:  # the first metric opens a file in it
    Path(METRICS_FOLDER).mkdir(parents=True, exist_ok=True)
else:  # set but empty, the library would take it for the current folder
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest, values  # noqa: E402 (folder first)
from prometheus_client.mmap_dict import MmapedDict, mmap_key  # noqa: E402 (folder first)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead  # noqa: E402 (folder first)

_process = [os.getpid()]
"""Asked of the kernel once, and after a fork: the library asks it at each figure, which is 2 µs of a claim."""
os.register_at_fork(after_in_child=lambda: _process.__setitem__(0, os.getpid()))
if METRICS_FOLDER:
    values.ValueClass = values.MultiProcessValue(lambda: _process[0])  # type: ignore[no-untyped-call]  # left untyped

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_LIVE_FILE: Final = re.compile(r"gauge_live[a-z]*_(\d+)\.db")


def metrics_text() -> bytes:
    """All metrics in Prometheus' text format: of every process that shares the folder, else of this one.

    Reads files where there are several processes; call it off the event loop.
    """
    if not METRICS_FOLDER:
        return generate_latest(REGISTRY)
    _forget_killed()
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # the library leaves it untyped
    return generate_latest(together)


class Tally:
    """Counters that a process adds to a folder of others: it starts them, and keeps no figures there otherwise."""

    def __init__(self, folder: Path) -> None:
        path = folder / f"counter_{os.getpid()}.db"
        path.touch(0o600)  # nobody else's, whatever the umask of whoever started this
        self._values = MmapedDict(str(path))  # type: ignore[no-untyped-call]  # the library leaves it untyped

    def count(self, counter: Counter) -> None:
        """One more; of a counter with labels the child with their values."""
        counter.inc()
        values = dict(zip(counter._labelnames, counter._labelvalues, strict=True))
        key = mmap_key(
            counter._name, f"{counter._name}_total", list(values), list(values.values()), counter._documentation
        )
        value, _ = self._values.read_value(key)  # type: ignore[no-untyped-call]  # the library leaves it untyped
        self._values.write_value(key, value + 1, 0.0)  # type: ignore[no-untyped-call]  # likewise


def forget_process(pid: int) -> None:
    """Take the gauges of a process out of the sums: called by itself as its last act, or by its parent afterwards."""
    if METRICS_FOLDER:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the library leaves it untyped


def _forget_killed() -> None:
    """A process that was killed could not say that it goes: what it had open, or held, is nobody's any more."""
    for name in os.listdir(METRICS_FOLDER):
        found = _LIVE_FILE.fullmatch(name)
        if found and not _runs(int(found[1])):
            forget_process(int(found[1]))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, and so not one of ours; but it is there
        return True
    return True

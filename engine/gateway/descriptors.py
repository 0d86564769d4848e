"""How many connections the operating system lets this process have. Each is a file descriptor."""

import resource
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_OWN: Final = 256
"""Descriptors that are not a client's: connections to the stores, files, the socket that listens."""


def allowed_connections(wanted: int, turned_away_max: int) -> int:
    """`wanted`, or less where the hard limit leaves less. The soft limit is raised as far as that takes.

    `turned_away_max` connections beyond them are only told that the process is full.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + turned_away_max + _OWN
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return wanted
    if hard == resource.RLIM_INFINITY or hard >= needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    allowed = max(1, hard - turned_away_max - _OWN)
    log.warning(
        "fewer connections than set",
        connections_max=wanted,
        allowed=allowed,
        remedy=f"allow the process {needed} open files (ulimit -Hn; LimitNOFILE= in systemd)",
    )
    return allowed

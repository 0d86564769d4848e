"""Looks after the file of keys: what it holds counts, from a second after it was changed on.

The content is compared, not times and sizes: whether the file was written in place, replaced by another one or
reached by a link that was turned round (as Kubernetes does it), it has another content or the same one. A file
that is broken or gone changes nothing: the keys that were read last go on to count, and an alarm is raised.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from engine.errors import SettingsError
from engine.gateway.identity.key_file import parse_keys, read_key_file
from engine.gateway.identity.keys import TokenKey
from engine.telemetry import TOKEN_KEYS_FILE_BROKEN, TOKEN_KEYS_READ

log = structlog.get_logger(__name__)


class KeyWatch:
    """The file of keys that was read with the content `seen`; `use` gets the keys of every other one."""

    def __init__(self, path: Path, seen: bytes, use: Callable[[tuple[TokenKey, ...]], None]) -> None:
        self._path = path
        self._seen: bytes | None = seen
        self._use = use
        self._complaint = ""
        TOKEN_KEYS_FILE_BROKEN.set(0)

    async def look(self) -> None:
        """Read the file again, off the event loop: its disk may take its time."""
        try:
            content = await asyncio.to_thread(read_key_file, self._path)
        except SettingsError as error:
            self._seen = None
            self._complain(str(error))
            return
        if content == self._seen:
            return
        self._seen = content
        try:
            keys = await asyncio.to_thread(parse_keys, content, self._path)
        except SettingsError as error:
            self._complain(str(error))
            return
        self._use(keys)
        self._complaint = ""
        TOKEN_KEYS_READ.labels("used").inc()
        TOKEN_KEYS_FILE_BROKEN.set(0)
        log.info("token keys read", file=str(self._path), keys=[f"{key.algorithm} {key.kid}".strip() for key in keys])

    def _complain(self, what: str) -> None:
        if what == self._complaint:
            return  # said once; the gauge goes on saying it
        self._complaint = what
        TOKEN_KEYS_READ.labels("refused").inc()
        TOKEN_KEYS_FILE_BROKEN.set(1)
        log.error("token keys not read: the ones from before go on to count", reason=what)

"""The Lua scripts: loaded from `lua/`, called by hash, their replies read.

Each file states its KEYS, ARGV and replies at the top. `-- include NAME` is replaced by that file.
"""

import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from engine.errors import HotStoreError, HotStoreUnavailable, LeaseLost
from engine.hotstore.store import HotStore, Line
from engine.hotstore.wire import Argument

_INCLUDE = re.compile(r"^-- include (\S+)$", re.MULTILINE)


def _read(name: str) -> str:
    text = (files("engine.hotstore") / "lua" / name).read_text("utf-8")
    return _INCLUDE.sub(lambda match: _read(match.group(1)), text)


class Fenced(HotStoreUnavailable):
    """The shard is not bound to this server: nothing was decided. The message says why."""


class OtherEpoch(HotStoreUnavailable):
    """Another epoch of the shard is live: nothing was decided. `epoch` is the live one."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        super().__init__(f"epoch {epoch} is live")


PACKED = "packed"
"""The word for a reply that is one text of bytes: Redis copies that at once, a list value by value."""


class Script:
    """One Lua script."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = _read(f"{name}.lua")
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    async def run(
        self, store: HotStore | Line, keys: Sequence[str | bytes], arguments: Sequence[Argument]
    ) -> tuple[str, list[Any]]:
        """Call it; the reply's first word, and the rest.

        Raises Fenced, OtherEpoch, LeaseLost, or what `HotStore.call` raises.
        """
        reply = await store.call_script(self.sha, self.source, keys, arguments)
        if isinstance(reply, bytes):
            return PACKED, [reply]
        status, *rest = reply
        match status:
            case b"fenced":
                raise Fenced(rest[1].decode())
            case b"epoch":
                raise OtherEpoch(int(rest[1]))
            case b"lease":
                raise LeaseLost("a later steward has taken over")
            case b"replica":
                raise HotStoreUnavailable("this Redis is a replica, not a master")
            case bytes():
                return status.decode(), rest
            case _:
                raise HotStoreError(f"{self.name}.lua gave a reply of unknown form")


CLAIM = Script("claim")
ACT = Script("act")
LOOK = Script("look")
UNBIND = Script("unbind")
LOAD = Script("load")
BIND = Script("bind")
REBIND = Script("rebind")
DROP = Script("drop")
SETTLED = Script("settled")
FORGET = Script("forget")
VOIDED = Script("voided")

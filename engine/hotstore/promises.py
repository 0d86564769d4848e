"""What a Redis has to be set to, so that an `ack` can be kept (docs/acknowledgement.md), and how that is found out.

CONFIG tells. A managed Redis often refuses it: then INFO tells two of the settings, and the others have to be asserted
by whoever knows them (`redis_asserted`). What Redis tells itself always counts.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from hiredis import ReplyError
from msgspec import Struct

from engine.errors import SettingsError
from engine.settings import Settings

Ask = Callable[..., Awaitable[Any]]
"""Sends a command (given word by word) and returns its answer; raises ReplyError, or OSError where there is none."""

_NO_BOUND: Final = 2**31 - 1
MAX_LAG_S: Final = 10
"""`min-replicas-max-lag` bounds how long a master that was cut off goes on selling, and with it what is lost then."""


class Need(Struct, frozen=True):
    """What one setting has to be: `value`, or a number within `bounds` (inclusive), of which `value` is one."""

    value: str
    bounds: tuple[int, int] | None = None

    def __str__(self) -> str:
        """For people."""
        if self.bounds is None:
            return self.value
        least, most = self.bounds
        return f"{least} or more" if most == _NO_BOUND else f"{least} to {most}"

    def met_by(self, value: str) -> bool:
        """Whether that value will do."""
        if self.bounds is None:
            return value == self.value
        return value.isdecimal() and self.bounds[0] <= int(value) <= self.bounds[1]


_ALWAYS: Final = {"maxmemory-policy": Need("noeviction")}
"""Any other policy throws holders away: limits would be forgotten."""
_LOGGED: Final = {
    "appendonly": Need("yes"),
    "appendfsync": Need("always"),
    "no-appendfsync-on-rewrite": Need("no"),
}
"""Without these a reply can be sent before its claim is on disk."""


def needs_of(settings: Settings) -> dict[str, Need]:
    """What the `ack` of these settings needs, by the name of the setting.

    `settled` needs the log on disk too: its claims would outlive Redis without it, but acts (a pause, a stop), limits
    and what a caller is shown would go back in time with each restart.
    """
    if settings.ack == "memory":
        return _ALWAYS
    if settings.ack != "replicated":
        return _ALWAYS | _LOGGED
    return {
        **_ALWAYS,
        **_LOGGED,
        "min-replicas-to-write": Need(str(settings.replicas), (settings.replicas, _NO_BOUND)),
        "min-replicas-max-lag": Need(str(MAX_LAG_S), (1, MAX_LAG_S)),
    }


_KNOWN: Final = frozenset({*_ALWAYS, *_LOGGED, "min-replicas-to-write", "min-replicas-max-lag"})


def check_assertions(settings: Settings) -> None:
    """Raises SettingsError where `redis_asserted` names what nobody looks at."""
    unknown = sorted(set(settings.redis_assertions) - _KNOWN)
    if unknown:
        raise SettingsError(f"redis_asserted names {', '.join(unknown)}; looked at are {', '.join(sorted(_KNOWN))}")


async def broken_promise(ask: Ask, settings: Settings) -> str:
    """Why this Redis cannot keep `ack`: each setting, its value, the value needed. Empty where it can."""
    needs = needs_of(settings)
    try:
        told, silent = await _by_config(ask, needs), ""
    except ReplyError as error:
        if not _is_denied(error):
            raise
        told, silent = await _by_info(ask), str(error)
    found = settings.redis_assertions | told
    wrong = [
        f"{name} is {found[name]}, needs {need}"
        for name, need in needs.items()
        if name in found and not need.met_by(found[name])
    ]
    unknown = {name: need for name, need in needs.items() if name not in found}
    if unknown:
        wrong.append(_not_told(unknown, silent))
    return f"Redis cannot keep ack={settings.ack}: " + "; ".join(wrong) if wrong else ""


def _not_told(unknown: Mapping[str, Need], silent: str) -> str:
    lines = ", ".join(f"{name} (needs {need})" for name, need in unknown.items())
    assertion = ",".join(f"{name}={need.value}" for name, need in unknown.items())
    why = f"it does not let CONFIG be asked ({silent})" if silent else "CONFIG does not tell"
    return f'{why}: {lines}. Where you know that they are so, say it by DROPWAVE_REDIS_ASSERTED="{assertion}"'


def _is_denied(error: ReplyError) -> bool:
    """Refused to us (ACL), or taken away from everybody (renamed, managed)."""
    return str(error).startswith("NOPERM ") or "unknown command" in str(error).lower()


async def _by_config(ask: Ask, needs: Mapping[str, Need]) -> dict[str, str]:
    found: dict[str, str] = {}
    # One pattern at a time: several in one command are understood since Redis 7 only.
    for pattern in ("*append*", "maxmemory-policy", "min-replicas-*"):
        if not pattern.startswith("min") or "min-replicas-to-write" in needs:
            texts = [part.decode() for part in await ask("CONFIG", "GET", pattern)]
            found |= dict(zip(texts[::2], texts[1::2], strict=True))
    return found


async def _by_info(ask: Ask) -> dict[str, str]:
    lines = (await ask("INFO", "persistence")).decode().splitlines() + (
        await ask("INFO", "memory")
    ).decode().splitlines()
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    told = {}
    if "aof_enabled" in info:
        told["appendonly"] = "yes" if info["aof_enabled"] == "1" else "no"
    if "maxmemory_policy" in info:
        told["maxmemory-policy"] = info["maxmemory_policy"]
    return told

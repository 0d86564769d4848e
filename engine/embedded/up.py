"""`dropwave up`: all roles on one machine.

    start   Redis, Postgres (each unless its URL is set), migrations, steward + writer + N gateways, up.json
    stop    up.json, gateways (answer what they accepted), writer (settles what is left), steward, Postgres, Redis

Every part is a child of this process and ends with it (see `child`). One that dies is started again, and one that dies
again and again stops everything, with the reason (see `upkeep`).
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from engine.embedded.files import kept_secret, private_folder, storage
from engine.embedded.lock import FolderLock
from engine.embedded.ports import SharedPort
from engine.embedded.postgres import EmbeddedPostgres
from engine.embedded.redis import EmbeddedRedis
from engine.embedded.role import RoleProcess
from engine.embedded.running import Running, address_of, publish, withdraw
from engine.embedded.upkeep import Part, Upkeep
from engine.errors import AckImpossible
from engine.hotstore.promises import MAX_LAG_S
from engine.ledger.migrate import migrate
from engine.settings import PREFIX, Settings
from engine.telemetry import RESTARTS, Tally

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a service manager, a terminal that was closed."""
_ROLE_STOP_S = 10.0
"""A role gets this long to end, a gateway its `drain_ms` on top."""


class Machine:
    """All parts on this machine. Start it from the main thread; `running` is set from then on."""

    running: Running

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        """`say` gets a line for people at each step."""
        self._settings = settings
        self._say = say
        self._data = settings.data_folder
        self._lock = FolderLock(self._data)
        self._port: SharedPort | None = None
        self._stages: list[list[Part]] = []
        """Parts in order of start; those of one stage stop together."""
        self._upkeeps: dict[str, Upkeep] = {}
        """By the name of the part."""
        self._tally: Tally | None = None

    async def start(self) -> Running:
        """Start everything, in order. CannotRun with the way out; call `stop` afterwards in any case."""
        await self._lock.take()
        withdraw(self._data)
        self._port = SharedPort(self._settings.host, self._settings.port)
        settings = await self._with_servers(self._settings)
        await migrate(settings.database_url, settings)
        settings = msgspec.structs.replace(
            settings, port=self._port.port, workers=1, secret=settings.secret or kept_secret(self._data / "secret")
        )
        await self._start_roles(settings, self._settings.workers)
        self.running = Running(
            pid=os.getpid(),
            url=self._port.url,
            redis_url=settings.redis_url,
            database_url=settings.database_url,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        publish(self._data, self.running)
        return self.running

    async def watch(self) -> None:
        """Starts again what dies. Returns never; CannotRun, with the end of its log, once a part dies too often."""
        await _all([upkeep.keep() for upkeep in self._upkeeps.values()])

    async def stop(self) -> None:
        """Stop everything, in reverse order of start, within seconds. Stopping twice is allowed."""
        if self._port is None:
            self._lock.release()
            return
        try:
            withdraw(self._data)
        finally:
            await self._stop_parts()
            self._port.close()
            self._lock.release()

    def hurry(self) -> None:
        """Cut short the stop that is under way or comes next."""
        for part in self._parts():
            part.hurry()

    async def _stop_parts(self) -> None:
        while self._stages:
            stage = self._stages[-1]
            await asyncio.gather(*(part.stop() for part in stage))
            self._stages.pop()
            self._say(f"stopped: {', '.join(part.child.name for part in stage)}")

    def _parts(self) -> Iterator[Part]:
        for stage in self._stages:
            yield from stage

    async def _with_servers(self, settings: Settings) -> Settings:
        """The settings with the addresses of both servers; those that are not named are started."""
        redis_url, database_url = settings.redis_url, settings.database_url
        if redis_url:
            self._say(f"Redis at {address_of(redis_url)}, not started here")
        elif settings.ack == "replicated":
            raise AckImpossible(
                f"ack=replicated needs a Redis with {settings.replicas} or more replicas on machines of their own, and"
                f" the one that `up` starts has none: name one in DROPWAVE_REDIS_URL, set to min-replicas-to-write"
                f" {settings.replicas} (or more) and min-replicas-max-lag {MAX_LAG_S} (or less)"
            )
        else:
            redis_url = await self._start_server(EmbeddedRedis(self._data / "redis"))
        if database_url:
            self._say(f"Postgres at {address_of(database_url)}, not started here")
        else:
            database_url = await self._start_server(EmbeddedPostgres(self._data / "postgres"))
        return msgspec.structs.replace(settings, redis_url=redis_url, database_url=database_url)

    async def _start_server(self, server: EmbeddedRedis | EmbeddedPostgres) -> str:
        url = await server.start()
        self._stages.append([server])
        self._keep(server)
        self._say(server.where)
        return url

    def _keep(self, part: Part, *needs: str) -> None:
        """From `watch` on; `needs` are servers, as far as they are ours, without which it cannot start."""
        needed = [self._upkeeps[name] for name in needs if name in self._upkeeps]
        restarts_max = self._settings.restarts_per_minute_max
        self._upkeeps[part.child.name] = Upkeep(part, needed, restarts_max, self._say, self._count)

    def _count(self, role: str) -> None:
        if self._tally is not None:
            self._tally.count(RESTARTS.labels(role))

    async def _start_roles(self, settings: Settings, workers: int) -> None:
        """Start all of them at once: each takes most of its time to load, and none needs another."""
        logs = self._data / "logs"
        private_folder(logs)
        figures = _fresh_folder(self._data / "metrics")
        self._tally = Tally(figures)
        environment = {**environment_of(settings), "PROMETHEUS_MULTIPROC_DIR": str(figures)}
        drain_s = settings.drain_ms / 1000 + _ROLE_STOP_S
        steward, writer = (RoleProcess(role, role, logs, _ROLE_STOP_S) for role in ("steward", "writer"))
        gateways = [RoleProcess("gateway", f"gateway-{no}", logs, drain_s) for no in range(1, workers + 1)]
        roles = [steward, writer, *gateways]
        self._stages += [[steward], [writer], [*gateways]]
        await _all([role.start(environment) for role in roles])
        for role in roles:
            self._keep(role, "redis", *(() if role.role == "gateway" else ("postgres",)))
            self._say(f"{role.name}: {role.connected_to}")


async def _all(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Do all of it at once; the first error breaks the others off and is raised as it is."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def up(
    settings: Settings,
    on_ready: Callable[[Running], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP, then stop in order; a second signal hurries that up.

    `on_ready` is called once all parts are ready. `say` gets a line for people at each step, standard error by
    default. CannotRun where something cannot start, or dies again and again; everything is stopped before it is raised.
    """
    machine = Machine(settings, say or _to_stderr)
    with _asked_to_stop(machine) as asked:
        try:
            await _unless(asked, machine.start())
            if not asked.is_set():
                if on_ready:
                    on_ready(machine.running)
                await _unless(asked, machine.watch())
        finally:
            await machine.stop()


@contextmanager
def _asked_to_stop(machine: Machine) -> Iterator[asyncio.Event]:
    asked = asyncio.Event()

    def heard() -> None:
        if asked.is_set():
            machine.hurry()
        asked.set()

    loop = asyncio.get_running_loop()
    for number in _ASKING:
        loop.add_signal_handler(number, heard)
    try:
        yield asked
    finally:
        for number in _ASKING:
            loop.remove_signal_handler(number)


async def _unless(asked: asyncio.Event, work: Coroutine[Any, Any, object]) -> None:
    """Do the work, and break it off once `asked` is set."""
    task, waiting = asyncio.ensure_future(work), asyncio.ensure_future(asked.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for each in (task, waiting):
            each.cancel()
        await asyncio.wait({task, waiting})


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment of a child that shall be this very program with exactly these settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    packages = [str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, packages))
    return environment | {PREFIX + name.upper(): str(getattr(settings, name)) for name in settings.__struct_fields__}


def _fresh_folder(folder: Path) -> Path:
    """That folder without the figures of the processes of an earlier run."""
    private_folder(folder)
    with storage(folder):
        for left in folder.glob("*.db"):
            left.unlink()
    return folder


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()

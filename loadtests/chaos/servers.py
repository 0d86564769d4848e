"""Everything that a drop runs on, as processes of their own that end with this one, and a proxy on each line.

    clients ─▶ gateway-1, gateway-2 ─▶ Redis, Postgres ◀─ writer-1, writer-2, steward-1, steward-2

A line is named by who speaks and whom to: ("gateway-1", "redis"), ("clients", "gateway-2"). A role that ends is started
again, as a supervisor would, unless a fault holds it down.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import asyncpg
from msgspec.structs import replace
from redis.exceptions import RedisError

from engine.embedded.files import kept_secret, private_folder, write_private
from engine.embedded.ports import free_port
from engine.embedded.up import environment_of
from engine.errors import CannotRun, SettingsError
from engine.ledger.migrate import migrate
from engine.settings import Settings, load_settings
from loadtests.chaos.proxy import LOOPBACK, Proxy
from loadtests.chaos.roles import GATEWAYS, ROLES, Role
from loadtests.chaos.stores import START_TRIES_S, PostgresServer, RedisServer, Server, kill_server, start_server
from loadtests.chaos.waiting import happens

STORES: Final = ("redis", "postgres")
LINES: Final = tuple((role, store) for role in ROLES for store in STORES) + tuple(
    ("clients", gateway) for gateway in GATEWAYS
)
"""Every line between two processes."""

_DISK_MB: Final = {"redis": 256, "postgres": 1_024}
"""Filled up in a second. Postgres has a copy of itself beside it when it is set back."""


async def _copy(source: Path, target: Path) -> None:
    """With owners and times. Files that vanish meanwhile are no matter: Postgres's own backups allow for that."""
    await _run("cp", "-a", "-T", source, target)


async def _run(*command: str | Path) -> None:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    await process.wait()


def may_mount() -> bool:
    """Whether this runs in a mount namespace of its own, which scripts/chaos makes where it can."""
    return os.environ.get("CHAOS_MAY_MOUNT") == "yes"


class Servers:
    """All of it, in one folder."""

    def __init__(self, folder: Path, secret: str, ack: str, settings: Mapping[str, Any]) -> None:
        """Raises SettingsError where this version knows no such `ack`."""
        self.folder = folder
        self.ack = ack
        self.lines: dict[tuple[str, str], Proxy] = {}
        self.roles: dict[str, Role] = {}
        self.redis = RedisServer(folder / "redis")
        self.postgres = PostgresServer(folder / "postgres")
        self.turns = {store: asyncio.Lock() for store in STORES}
        """Held by whoever restarts that store."""
        self.replica: RedisServer | None = None
        self.replication: Proxy
        self.strays: list[Server] = []
        """Servers that faults have started, and old masters: ended at the end."""
        self._secret = secret
        self._more = dict(settings)
        self._stack = AsyncExitStack()
        self._settings_of(ack)

    def _settings_of(self, ack: str) -> Settings:
        return load_settings(
            {}, data=str(self.folder), ack=ack, secret=self._secret, jwt_secret=self._secret, **self._more
        )

    async def start(self) -> None:
        """Servers, proxies, roles. Call `stop` afterwards in any case."""
        for server in (self.redis, self.postgres):
            await self._own_disk(server)
            await start_server(server)
        await migrate(self.postgres.url, replace(self._settings_of("memory"), database_url=self.postgres.url))
        ports = {name: free_port(self.folder / f"{name}.port") for name in GATEWAYS}
        for line in LINES:
            port = {"redis": self.redis.port, "postgres": self.postgres.port, **ports}[line[1]]
            self.lines[line] = await self._stack.enter_async_context(Proxy(LOOPBACK, port))
        self.replication = await self._stack.enter_async_context(Proxy(LOOPBACK, self.redis.port))
        private_folder(self.folder / "logs")
        for name in ROLES:
            self.roles[name] = Role(name, self.folder / "logs", self._environment(name, ports.get(name, 0)))
        await self.start_roles(self.ack)

    async def start_roles(self, ack: str) -> None:
        """Start the roles, or start them anew under that `ack`."""
        self.ack = ack
        self._settings_of(ack)
        await asyncio.gather(*(role.stop() for role in self.roles.values()))
        await self._replicate()
        for role in self.roles.values():
            role.environment["DROPWAVE_ACK"] = ack
            role.is_held = False
            role.keep()
        await asyncio.gather(*(role.ready() for role in self.roles.values()))

    async def stop(self) -> None:
        """End everything."""
        self.mend_lines()
        for server in self._servers():  # a server that was frozen would hold up the others' ends
            if server.child.runs:
                os.kill(server.child.pid, signal.SIGCONT)
        await asyncio.gather(*(role.stop() for role in self.roles.values()))
        await self._stack.aclose()
        for server in self._servers():
            if isinstance(server, RedisServer):
                await kill_server(server)
            await server.stop()
            if server.folder.is_mount():
                await _run("umount", "--lazy", server.folder)

    async def _own_disk(self, server: Server) -> None:
        """A small disk under a server's folder, to be filled up, where one can be mounted."""
        private_folder(server.folder)
        if may_mount():
            size = f"size={_DISK_MB[server.role]}m,mode=700"
            await _run("mount", "-t", "tmpfs", "-o", size, "dropwave-chaos", server.folder)

    def _servers(self) -> list[Server]:
        return [self.redis, self.postgres, *self.strays]

    def _environment(self, name: str, port: int) -> dict[str, str]:
        redis_line, postgres_line = (self.lines[name, store] for store in STORES)
        settings = replace(
            self._settings_of(self.ack),
            redis_url=redis_line.url_of(self.redis.url),
            database_url=postgres_line.url_of(self.postgres.url),
            port=port,
        )
        return environment_of(settings)

    def gateway_url(self, name: str) -> str:
        """Where clients reach a gateway."""
        return f"http://{LOOPBACK}:{self.lines['clients', name].port}"

    def lines_to(self, store: str) -> list[Proxy]:
        """Every line to that store."""
        return [line for (_, to), line in self.lines.items() if to == store]

    def mend_lines(self) -> None:
        """Every line passes again."""
        for line in self.lines.values():
            line.delay_s = 0.0
            line.resume()
            line.disarm()

    async def revive(self, server: Server) -> None:
        """Start a server again; lines that lead to it find it wherever it is by now."""
        await start_server(server)
        if server is self.redis:
            self.lead_to_redis(self.redis)
            self.replication.lead_to(server.port)
        elif server is self.postgres:
            for line in self.lines_to("postgres"):
                line.lead_to(server.port)

    def lead_to_redis(self, server: RedisServer, *, but: str = "") -> None:
        """The name of the hot store means that server from now on, for everybody `but` one role."""
        for (role, store), line in self.lines.items():
            if store == "redis" and role != but:
                line.lead_to(server.port)
                line.cut()

    async def with_replica(self) -> RedisServer:
        """A replica that has caught up with Redis, by the line `replication`; made where there is none."""
        if self.replica is None:
            self.replica = RedisServer(self.folder / f"redis-{len(self.strays) + 2}")
            self.strays.append(self.replica)
            password = kept_secret(self.redis.folder / "password")
            await self._own_disk(self.replica)
            write_private(self.replica.folder / "password", password + "\n")
            await start_server(self.replica)
            await self.replica.command("CONFIG", "SET", "masterauth", password)
            await self.replica.command("REPLICAOF", LOOPBACK, self.replication.port)
        if not await happens(self.replica.has_caught_up, START_TRIES_S):
            raise CannotRun("the replica does not catch up")
        return self.replica

    async def crown(self, server: RedisServer) -> None:
        """That server is the Redis of this installation; under `replicated` it gets a replica of its own."""
        self.strays.append(self.redis)
        self.strays.remove(server)
        self.redis, self.replica = server, None
        self.replication.lead_to(server.port)
        self.replication.resume()
        self.replication.cut()
        self.lead_to_redis(server)
        await self._replicate()

    async def _replicate(self) -> None:
        """What `replicated` needs of Redis, or what the other levels do."""
        wanted = {"min-replicas-to-write": 1, "min-replicas-max-lag": 10} if self.ack == "replicated" else {}
        if wanted:
            await self.with_replica()
        self.redis.settings = wanted
        for name, value in {"min-replicas-to-write": 0, **wanted}.items():
            await self.redis.command("CONFIG", "SET", name, value)

    async def copy_postgres(self) -> Path:
        """A copy of the data as they are now, to be started from (PostgreSQL manual, 25.3.3, low-level backups)."""
        cluster, kept = self.postgres.cluster, self.postgres.folder / "kept"
        remove(kept)
        connection = await asyncpg.connect(self.postgres.url, timeout=5.0)
        try:
            await connection.execute("select pg_backup_start('chaos', true)")
            await _copy(cluster, kept)
            label = await connection.fetchval("select labelfile from pg_backup_stop(false)")
        finally:
            await connection.close()
        await _copy(cluster / "pg_wal", kept / "pg_wal")
        (kept / "postmaster.pid").unlink(missing_ok=True)
        (kept / "backup_label").write_text(label, "utf-8")
        owner = cluster.stat()
        os.chown(kept / "backup_label", owner.st_uid, owner.st_gid)
        return kept

    async def is_settled(self, campaign: str) -> bool:
        """Whether the shard is bound here and the ledger's cursor stands at its last number."""
        try:
            head = f"{{{campaign}/0}}:head"
            epoch, incarnation = await self.redis.command("HMGET", head, "epoch", "incarnation")
            if not epoch or not incarnation:
                return False
            last = await self.redis.command("HGET", f"{{{campaign}/0}}:{epoch.decode()}:meta", "last")
            row = await self.ask_ledger(
                "select c.epoch, c.last from cursors c join campaigns using (campaign_no) where id = $1", campaign
            )
        except (RedisError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return bool(row) and last is not None and (row[0]["epoch"], row[0]["last"]) == (int(epoch), int(last))

    async def ask_ledger(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of the ledger, past everybody."""
        connection = await asyncpg.connect(self.postgres.url, timeout=5.0)
        try:
            return list(await connection.fetch(query, *arguments, timeout=30.0))
        finally:
            await connection.close()

    def audit_environment(self) -> dict[str, str]:
        """For `dropwave audit`, past every proxy. It asks for no `ack`: it only reads."""
        settings = replace(
            self._settings_of("memory"), redis_url=self.redis.url, database_url=self.postgres.url, log_level="error"
        )
        return environment_of(settings)


def knows_ack(ack: str) -> bool:
    """Whether this version has that level."""
    try:
        load_settings({}, ack=ack)
    except SettingsError:
        return False
    return True


def remove(folder: Path) -> None:
    """Remove what a run has left."""
    shutil.rmtree(folder, ignore_errors=True)

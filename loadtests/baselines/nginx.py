"""nginx with Lua in front of Redis: `nginx.conf` and `gateway.lua`, filled in and started."""

import asyncio
import os
import pwd
import shutil
import signal
from pathlib import Path
from typing import Final

from engine.embedded.child import Child, Insistence
from engine.embedded.files import private_folder, write_private
from engine.embedded.ports import LOOPBACK, free_port
from engine.errors import CannotRun
from loadtests.baselines.redis import BenchRedis

OFFER: Final = "mall-50"
INSTALL: Final = "apt-get install --no-install-recommends nginx libnginx-mod-http-lua"
_HERE: Final = Path(__file__).parent
_MODULES: Final = (Path("/usr/lib/nginx/modules"), Path("/usr/lib64/nginx/modules"))
_READY_S: Final = 10.0


def missing() -> str:
    """What is not installed, and the command that installs it; empty where everything is there."""
    if _program() is None or _modules() is None:
        return f"nginx with its Lua module is not installed: {INSTALL}"
    return ""


class Nginx:
    """Runs in `folder`, on a free port, with that many workers."""

    def __init__(self, folder: Path, redis: BenchRedis, workers: int) -> None:
        self._folder = folder
        self._redis = redis
        self._workers = workers
        self.port = 0
        # SIGQUIT would wait for connections; the master takes its workers with it at SIGTERM, also at our own death.
        self.child = Child(
            "nginx", folder / "nginx.log", [Insistence(signal.SIGTERM, 5.0)], at_parents_death=signal.SIGTERM
        )

    async def start(self) -> None:
        """Start it and wait until it takes connections. CannotRun with its last words where it does not."""
        program, modules = _program(), _modules()
        if program is None or modules is None:
            raise CannotRun(missing())
        private_folder(self._folder)
        self.port = free_port(self._folder / "port")
        filled = {
            "SHA": await self._redis.load_script((_HERE / "claim.lua").read_text("utf-8")),
            "REDIS_PORT": str(self._redis.port),
            "PASSWORD": self._redis.password,
            "PASSWORD_LENGTH": str(len(self._redis.password)),
            "OFFER": OFFER,
            "OFFER_PATTERN": OFFER.replace("-", "%-"),
            "USER": f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else "",
            "WORKERS": str(self._workers),
            "MODULES": str(modules),
            "FOLDER": str(self._folder),
            "PORT": str(self.port),
        }
        for name in ("gateway.lua", "nginx.conf"):
            text = (_HERE / name).read_text("utf-8")
            for word, value in filled.items():
                text = text.replace(f"@{word}@", value)
            write_private(self._folder / name, text)
        self.child.start(
            [program, "-p", self._folder, "-c", self._folder / "nginx.conf", "-e", "stderr"],
            environment={"PATH": os.environ.get("PATH", os.defpath)},
            folder=self._folder,
        )
        await self._answers()

    async def stop(self) -> None:
        """End it."""
        await self.child.stop()

    def pid(self) -> int:
        """Of the master."""
        return self.child.pid

    async def _answers(self) -> None:
        deadline_s = asyncio.get_running_loop().time() + _READY_S
        while asyncio.get_running_loop().time() < deadline_s and self.child.runs:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, self.port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
        raise CannotRun(f"nginx did not start: {self.child.tail(3)}")


def _program() -> str | None:
    return shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")


def _modules() -> Path | None:
    return next((folder for folder in _MODULES if (folder / "ngx_http_lua_module.so").is_file()), None)

"""Ports: a free one for a server of our own, and the one that all gateways share."""

import errno
import socket
from pathlib import Path

from engine.embedded.files import storage, write_private
from engine.errors import CannotRun

LOOPBACK = "127.0.0.1"


def free_port(kept_in: Path) -> int:
    """The port that this file names where it is still free, else a free one, which is kept there.

    Between this look and the server's own bind somebody else may take it; then the server says so and another one
    is drawn.
    """
    try:
        kept = int(kept_in.read_text("ascii"))
    except (OSError, ValueError):
        kept = 0
    for port in (kept, 0) if 0 < kept < 65_536 else (0,):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
        if found != kept:
            with storage(kept_in.parent):
                write_private(kept_in, f"{found}\n")
        return found
    raise CannotRun(f"no free port on {LOOPBACK}: close some programs and try again")


class SharedPort:
    """A port that several gateways listen on together (SO_REUSEPORT), kept for them as long as this is open.

    The kernel hands connections to listeners only, so the socket here, bound but not listening, gets none. It lets
    port 0 mean one port for all of them, and keeps others from taking it while a gateway is being replaced.
    """

    def __init__(self, host: str, port: int) -> None:
        """CannotRun where another program has the port, or the address is not one of this machine."""
        self.host = host
        try:
            found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, address = found[0][0], found[0][4]
            _refuse_taken(family, address)
            self._socket = _keep(family, address)
        except OSError as error:
            raise CannotRun(_port_trouble(host, port, error)) from error
        self.port: int = self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        """Where a client on this machine reaches the gateways."""
        host = LOOPBACK if self.host in ("", "0.0.0.0", "::") else self.host  # noqa: S104 (compared, not bound)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def close(self) -> None:
        """Let go of it; more than once is allowed."""
        self._socket.close()


def _refuse_taken(family: int, address: tuple[object, ...]) -> None:
    # A listener of the same user that shares its port would let us in beside it, and answer half of our requests.
    with socket.socket(family, socket.SOCK_STREAM) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind(address)


def _keep(family: int, address: tuple[object, ...]) -> socket.socket:
    keeping = socket.socket(family, socket.SOCK_STREAM)
    try:
        keeping.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeping.bind(address)
    except OSError:
        keeping.close()
        raise
    return keeping


def _port_trouble(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} is taken by another program: name another with --port (0 draws a free one), or stop that one"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs rights that this user lacks: name one above 1023 with --port"
    return f"{host or 'this machine'}, port {port}, cannot be listened on: {error.strerror}. Check host and port"

"""The socket that listens, and the taking in of connections.

The event loop could accept by itself (`create_server`), but uvloop takes in one connection each time it goes round
(libuv, pull request 3696). While a crowd is being answered a round takes tens of milliseconds, and whoever connects
then would wait for seconds before anybody heard of it. Here all that wait are taken in, up to a bound for each round.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final

import structlog

from engine.errors import CannotRun
from engine.settings import Settings

log = structlog.get_logger(__name__)

BACKLOG: Final = 4_096
"""Connections that wait to be accepted. A crowd connects within the same second; the kernel cuts this down to
net.core.somaxconn, which is 4,096 since Linux 5.4."""
ACCEPTED_AT_ONCE_MAX: Final = 128
"""Taken in before the loop goes round: some 10 ms of work, so that requests under way are not held up for longer."""
RECEIVED_BYTES_MAX: Final = 65_536
SENT_BYTES_MAX: Final = 16_384
"""What the kernel keeps of each connection's requests and answers (it takes this twice). Left alone it would grow to
megabytes. Every answer that fits in there is work for a client that asks and asks and never reads: with 64 kB, a
hundred such clients kept a process busy for four seconds each time they came. An answer has a few kB, so 32 kB on
their way at a time slow nobody down; an operator's megabytes come at 600 kB a second over a line of 100 ms."""
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_EXHAUSTED_PAUSE_S: Final = 0.5

ProtocolFactory = Callable[[], asyncio.Protocol]


class Acceptor:
    """Takes connections in for as long as it is open. `protocol` makes what serves each."""

    def __init__(self, listener: socket.socket, protocol: ProtocolFactory) -> None:
        self._listener = listener
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(listener, self._take_in)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listener.getsockname()[1])

    async def close(self) -> None:
        """Take in what the kernel has accepted already, which it would reset otherwise, then close the socket."""
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()
        self._accept(BACKLOG)
        self._listener.close()
        if self._opening:
            await asyncio.wait(self._opening)

    def _take_in(self) -> None:
        self._accept(ACCEPTED_AT_ONCE_MAX)

    def _accept(self, at_most: int) -> None:
        for _ in range(at_most):
            try:
                client, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue  # it has gone again
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._wait_a_moment(error)
                return
            client.setblocking(False)
            task = asyncio.ensure_future(self._open(client))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, client)
        except OSError:  # the client has gone before it was served
            client.close()

    def _wait_a_moment(self, error: OSError) -> None:
        """No descriptor or memory is left for one more connection: they wait with the kernel."""
        log.error("cannot accept connections", error=error.strerror)
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(_EXHAUSTED_PAUSE_S, self._loop.add_reader, self._listener, self._take_in)


def listen(settings: Settings) -> socket.socket:
    """A socket bound to the settings' address, shared with other gateways of this user (SO_REUSEPORT).

    Raises CannotRun with the way out.
    """
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise CannotRun(f"cannot listen on {host}: {error.strerror}; set another address with --host") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Connections inherit these, where they are set before the socket listens.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES_MAX)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_BYTES_MAX)
        listener.bind(address)
        listener.setblocking(False)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotRun(_why_not(error, host, port)) from error
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: end what listens there, or choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} is for root only: choose one above 1023 with --port"
    return f"cannot listen on {host} port {port}: {error.strerror}"

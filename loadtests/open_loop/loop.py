"""The loop: send what is due, take what has come, wait for the next of both."""

import gc
import os
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from loadtests.open_loop.answers import Answers
from loadtests.open_loop.ticks import Ticks

TICK_NS: Final = 1_000_000
"""Requests go out in groups, one a millisecond: the times are fixed all the same, and the loop wakes a thousand times a
second instead of ten thousand times."""
_ANSWER_BYTES_MAX: Final = 65_536
_CONNECT_S: Final = 5.0


class Load(Struct, frozen=True):
    """What to send: `before` + what is a user's own + `after`, each user once, at that rate."""

    port: int
    users: Sequence[bytes]
    before: bytes
    after: bytes
    rate: float
    connections: int
    begin_at_s: float = 0.0
    """Unix time of the first request; in the past: at once."""
    patience_s: float = 10.0
    """After the last request; then the rest counts as never answered."""
    greeting: bytes = b""
    """A request that every connection sends first, and waits for the answer of, before the load begins."""

    @property
    def tick_ns(self) -> int:
        """Between two groups of requests; no more groups than requests, for whoever shares the machine."""
        return max(TICK_NS, int(1e9 / self.rate))


class OpenLoop:
    """One run."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.answers = Answers(len(load.users))
        self._epoll = select.epoll()
        self._free: deque[int] = deque()
        self._under_way: dict[int, int] = {}
        """Number of the request by descriptor of its connection."""
        self._parts: dict[int, bytes] = {}
        """What has come of an answer that is not whole."""
        self._sockets: dict[int, socket.socket] = {}
        self._next = 0
        self.began_ns = 0

    def run(self) -> None:
        """Connect, wait for the time, send everything, wait for the answers. Ctrl-C ends it."""
        try:
            for _ in range(self._load.connections):
                self._connect()
            with Ticks(self._load.tick_ns) as ticks:
                self._epoll.register(ticks.descriptor, select.EPOLLIN)
                gc.collect()
                gc.disable()
                self._go(ticks)
        finally:
            gc.enable()
            for each in self._sockets.values():
                each.close()
            self._epoll.close()

    def _go(self, ticks: Ticks) -> None:
        time.sleep(max(0.0, self._load.begin_at_s - time.time()))
        self.began_ns = time.monotonic_ns()
        answers, load = self.answers, self._load
        total, per_tick = len(load.users), load.rate * load.tick_ns / 1e9
        for number in range(total):
            answers.due_ns[number] = self.began_ns + int(number / per_tick) * load.tick_ns
        give_up_ns = answers.due_ns[-1] + int(load.patience_s * 1e9)
        while self._next < total or self._under_way:
            self._send_due()
            for descriptor, _ in self._epoll.poll():
                if descriptor == ticks.descriptor:
                    ticks.read()
                    if time.monotonic_ns() > give_up_ns:
                        return
                else:
                    self._take(descriptor)

    def _send_due(self) -> None:
        load, answers, free, under_way = self._load, self.answers, self._free, self._under_way
        users, due_ns, total = load.users, answers.due_ns, len(load.users)
        now_ns = time.monotonic_ns()
        while self._next < total and due_ns[self._next] <= now_ns:
            if not free:
                answers.all_busy(now_ns)
                return
            number = self._next
            self._next += 1
            descriptor = free.popleft()
            under_way[descriptor] = number
            try:
                os.write(descriptor, load.before + users[number] + load.after)
            except OSError:
                self._lose(descriptor)
            now_ns = time.monotonic_ns()
            answers.sent(number, now_ns)

    def _take(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, _ANSWER_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose(descriptor)
            return
        if descriptor in self._parts:
            data = self._parts.pop(descriptor) + data
        if not is_whole(data):
            self._parts[descriptor] = data
            return
        number = self._under_way.pop(descriptor)
        self.answers.answered_ns[number] = time.monotonic_ns()
        self.answers.status[number] = int(data[9:12])
        self._free.append(descriptor)

    def _lose(self, descriptor: int) -> None:
        """A connection that ended: its request stays unanswered, another connection takes its place."""
        number = self._under_way.pop(descriptor, None)
        if number is not None:
            self.answers.broken += 1
        elif descriptor in self._free:
            self._free.remove(descriptor)
        self._parts.pop(descriptor, None)
        self._epoll.unregister(descriptor)
        self._sockets.pop(descriptor).close()
        self._connect()

    def _connect(self) -> None:
        """One more connection. Raises OSError where there is nobody."""
        connection = socket.create_connection(("127.0.0.1", self._load.port), timeout=_CONNECT_S)
        if self._load.greeting:
            connection.sendall(self._load.greeting)
            data = b""
            while not is_whole(data):
                part = connection.recv(_ANSWER_BYTES_MAX)
                if not part:
                    raise ConnectionError("the connection was closed instead of an answer to its first request")
                data += part
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets[connection.fileno()] = connection
        self._free.append(connection.fileno())
        self._epoll.register(connection.fileno(), select.EPOLLIN)


def is_whole(data: bytes) -> bool:
    """Whether an answer with a Content-Length (which all of ours have) has come in whole."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return False
    at = data.find(b"ontent-", 0, head)
    while at >= 0 and data[at + 7 : at + 14].lower() != b"length:":
        at = data.find(b"ontent-", at + 7, head)
    length = int(data[at + 14 : data.index(b"\r\n", at)]) if at >= 0 else 0
    return len(data) >= head + 4 + length

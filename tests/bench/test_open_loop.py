"""The open loop: what it counts, on a server that answers, stalls, closes."""

import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import pytest

from loadtests.open_loop.answers import Answers, Summary, quantile
from loadtests.open_loop.loop import Load, OpenLoop, is_whole

ANSWER = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
LOST = b"HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n"
Answering = Callable[[int, socket.socket], "float | None"]
"""Answers the request of that number; seconds for which the whole server then stands still, None to close instead."""


@contextmanager
def server(answering: Answering) -> Iterator[int]:
    """Its port. One thread serves all connections, so that it stands still as a whole."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening, ExitStack() as sockets:
        end, ended = socket.socketpair()
        thread = threading.Thread(target=serve, args=(listening, ended, answering, sockets))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            end.close()
            thread.join(5)
            ended.close()


def serve(listening: socket.socket, ended: socket.socket, answering: Answering, sockets: ExitStack) -> None:
    numbers = count(1)
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while True:
            for ready in (key.fileobj for key, _ in selector.select()):
                assert isinstance(ready, socket.socket)
                if ready is ended:
                    return
                if ready is listening:
                    connection = sockets.enter_context(listening.accept()[0])
                    selector.register(connection, selectors.EVENT_READ)
                    continue
                data = ready.recv(65_536)
                stall_s = answering(next(numbers), ready) if data.endswith(b"\r\n\r\n") else None
                if stall_s is None:
                    selector.unregister(ready)
                    ready.close()
                else:
                    threading.Event().wait(stall_s)


def offered(port: int, count: int, rate: float, connections: int = 8, greeting: bytes = b"") -> Summary:
    users = [b"X-User: u%d" % number for number in range(count)]
    before, after = b"POST /claims HTTP/1.1\r\n", b"\r\nContent-Length: 0\r\n\r\n"
    run = OpenLoop(Load(port, users, before, after, rate, connections, patience_s=1.0, greeting=greeting))
    run.run()
    return run.answers.summary(run.began_ns, 0.0)


def say(answer: bytes) -> Answering:
    def answering(_: int, connection: socket.socket) -> float:
        connection.sendall(answer)
        return 0.0

    return answering


def test_a_stall_is_charged_for_everybody_who_was_due_meanwhile() -> None:
    def answering(number: int, connection: socket.socket) -> float:
        connection.sendall(ANSWER)
        return 0.3 if number == 20 else 0.0

    with server(answering) as port:
        summary = offered(port, 500, 1_000, connections=4)
    assert summary.all is not None
    assert summary.all.count == 500
    # 300 of 500 were due while it stood still, the first of them waited 300 ms: half of all waited 50 ms and more.
    # A closed loop with four connections would have charged four.
    assert summary.all.p50_ms > 50
    assert summary.all.p99_ms > 250
    assert summary.waited_for_connection > 0


def test_answers_are_told_apart_by_status() -> None:
    def answering(number: int, connection: socket.socket) -> float:
        connection.sendall(ANSWER if number <= 30 else LOST)
        return 0.0

    with server(answering) as port:
        summary = offered(port, 100, 2_000)
    assert {status: each.count for status, each in summary.by_status.items()} == {"201": 30, "409": 70}
    assert summary.by_status["201"].last_at_ms <= summary.by_status["409"].last_at_ms
    assert summary.offered_per_second == pytest.approx(2_000, rel=0.1)


def test_a_connection_that_ends_is_replaced_and_its_request_stays_unanswered() -> None:
    def answering(number: int, connection: socket.socket) -> float | None:
        if number % 10 == 0:
            return None
        connection.sendall(ANSWER)
        return 0.0

    with server(answering) as port:
        summary = offered(port, 100, 2_000)
    assert summary.broken == 10
    assert {status: each.count for status, each in summary.by_status.items()} == {"0": 10, "201": 90}


def test_every_connection_greets_before_the_first_claim() -> None:
    with server(say(ANSWER)) as port:
        summary = offered(port, 10, 1_000, connections=5, greeting=b"GET / HTTP/1.1\r\n\r\n")
    assert summary.by_status["201"].count == 10


def test_what_is_never_answered_ends_the_run_after_its_patience() -> None:
    with server(lambda *_: 0.0) as port:
        summary = offered(port, 5, 1_000)
    assert summary.all is None
    assert summary.by_status["0"].count == 5


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (ANSWER, True),
        (ANSWER[:-1], False),
        (ANSWER[:30], False),
        (LOST, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Language: zh\r\ncontent-length: 1\r\n\r\n", False),
    ],
)
def test_an_answer_is_whole_when_its_body_is(data: bytes, whole: bool) -> None:
    assert is_whole(data) is whole


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.001, 1)])
def test_a_quantile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert quantile(list(range(1, 101)), share) == value


def test_no_quantile_of_nothing() -> None:
    assert quantile([], 0.5) == 0.0


def test_who_waited_for_a_connection_was_not_sent_late() -> None:
    answers = Answers(3)
    for number, due_ms in enumerate((10, 20, 30)):
        answers.due_ns[number] = due_ms * 1_000_000
    answers.all_busy(25_000_000)
    for number in range(3):
        answers.sent(number, 31_000_000)
    assert answers.waited_for_connection == 2
    assert list(answers.late_ns) == [1_000_000]

"""The port that gateways share, and the ports of servers."""

import socket
from pathlib import Path

import pytest

from engine.embedded.ports import SharedPort, free_port
from engine.errors import CannotRun


def listener(port: int) -> socket.socket:
    """What a gateway does with the port that it was given."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen()
    return made


def test_port_0_is_one_port_for_all_and_the_keeper_takes_no_connection() -> None:
    shared = SharedPort("127.0.0.1", 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", shared.port))
    with listener(shared.port) as first, listener(shared.port) as second:
        connections = [socket.create_connection(("127.0.0.1", shared.port)) for _ in range(32)]
        accepted = []
        for each in (first, second):
            each.setblocking(False)
            while True:
                try:
                    accepted.append(each.accept()[0])
                except BlockingIOError:
                    break
        assert len(accepted) == len(connections), (
            "each connection reached a listener, none the socket that keeps the port"
        )
        for connection in connections + accepted:
            connection.close()
    shared.close()
    shared.close()


@pytest.mark.parametrize("shares", [False, True])
def test_a_port_of_somebody_else_is_refused(shares: bool) -> None:
    """Also one whose listener would let us in beside it, and take half of our requests."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=shares) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotRun, match=f"port {port} is taken by another program: name another with --port"):
            SharedPort("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(CannotRun, match=r"^192\.0\.2\.1, port 0, cannot be listened on: .*Check host and port$"):
        SharedPort("192.0.2.1", 0)


def test_a_host_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CannotRun, match=r"^no-such-host\.invalid, port 0, cannot be listened on: "):
        SharedPort("no-such-host.invalid", 0)


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("", "127.0.0.1")])
def test_the_url_is_one_that_a_client_can_use(host: str, shown: str) -> None:
    shared = SharedPort(host, 0)
    assert shared.url == f"http://{shown}:{shared.port}"
    shared.close()


def test_a_servers_port_is_kept_while_it_is_free(tmp_path: Path) -> None:
    kept_in = tmp_path / "port"
    port = free_port(kept_in)
    assert free_port(kept_in) == port
    with socket.create_server(("127.0.0.1", port)):
        other = free_port(kept_in)
        assert other != port
    assert free_port(kept_in) == other


@pytest.mark.parametrize("nonsense", ["", "http", "-1", "70000", "0"])
def test_a_spoilt_port_file_does_no_harm(tmp_path: Path, nonsense: str) -> None:
    (tmp_path / "port").write_text(nonsense)
    assert 0 < free_port(tmp_path / "port") < 65_536

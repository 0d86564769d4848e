"""Whose address is counted: proxies are believed where the setting names them, and nobody else is."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.errors import SettingsError
from engine.gateway.forwarded import HOPS_MAX, Forwarded
from engine.settings import Settings
from tests.gateway.drop import Drop, running_drop

PROXY, OUTER, CLIENT, OTHER = "10.0.0.1", "10.1.2.3", "203.0.113.7", "198.51.100.9"
behind = Forwarded("10.0.0.0/8, 2001:db8:ffff::/48", "x-forwarded-for")
standard = Forwarded("10.0.0.0/8", "forwarded")
alone = Forwarded("", "x-forwarded-for")


@pytest.mark.parametrize(
    ("peer", "lines", "counted"),
    [
        (CLIENT, [], CLIENT),
        (CLIENT, [OTHER], CLIENT),  # anybody can send the header
        (PROXY, [CLIENT], CLIENT),
        (PROXY, [], PROXY),
        (PROXY, [""], PROXY),
        (PROXY, [f"{OTHER}, {CLIENT}"], CLIENT),  # what the client sent stands left of what the proxy adds
        (PROXY, [OTHER, CLIENT], CLIENT),
        (PROXY, [f"{CLIENT}, {OUTER}"], CLIENT),
        (PROXY, [CLIENT, OUTER], CLIENT),
        (PROXY, [f"{OTHER},{CLIENT},{OUTER},{PROXY}"], CLIENT),
        (PROXY, [f"{OUTER}, {PROXY}"], OUTER),  # nobody but proxies: the outermost
        (PROXY, [f"{CLIENT}, unknown, {OUTER}"], OUTER),  # it knows not whom it speaks for
        (PROXY, ["unknown"], PROXY),
        (PROXY, ["'; drop table"], PROXY),
        (PROXY, [f"{CLIENT}:51234"], CLIENT),
        (PROXY, ["[2001:db8:1:2:3:4:5:6]:443"], "2001:db8:1:2::/64"),
        (PROXY, ["2001:db8:1:2::9"], "2001:db8:1:2::/64"),
        (PROXY, [f"::ffff:{CLIENT}"], CLIENT),
        (f"::ffff:{PROXY}", [CLIENT], CLIENT),
        ("2001:db8:ffff::1", [CLIENT], CLIENT),
        ("2001:db8:1:2:aaaa::1", [], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", [], "2001:db8:1:2::/64"),
        ("2001:db8:1:3:aaaa::1", [], "2001:db8:1:3::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("", [CLIENT], ""),
        ("/run/gateway.sock", [CLIENT], ""),
    ],
)
def test_who_is_counted(peer: str, lines: list[str], counted: str) -> None:
    assert behind.client(peer, lines) == counted


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        (f"for={CLIENT}", CLIENT),
        (f"For={CLIENT};proto=https;by={PROXY}", CLIENT),
        (f"proto=https; for={CLIENT}", CLIENT),
        (f'for="{CLIENT}:4711"', CLIENT),
        ('for="[2001:db8:1:2::9]:4711"', "2001:db8:1:2::/64"),
        (f"for={OTHER}, for={CLIENT}, for={OUTER}", CLIENT),
        (f'for={OTHER};by=", for={CLIENT}', CLIENT),  # a quote that the client opened swallows nothing
        ("for=_hidden", PROXY),
        ("for=unknown", PROXY),
        (f"by={CLIENT}", PROXY),
        (f"notfor={CLIENT}", PROXY),
        (CLIENT, PROXY),
    ],
)
def test_the_standard_header(line: str, counted: str) -> None:
    assert standard.client(PROXY, [line]) == counted


def test_without_proxies_no_header_is_believed() -> None:
    for line in (OTHER, f"for={OTHER}"):
        assert alone.client(PROXY, [line]) == PROXY


def test_more_hops_than_anybody_has_are_not_looked_at() -> None:
    hops = ", ".join([CLIENT] + [f"10.9.0.{number}" for number in range(1, HOPS_MAX + 1)])
    assert behind.client(PROXY, [hops]) == "10.9.0.1"


@given(st.lists(st.text(max_size=40), max_size=5), st.text(max_size=40))
def test_what_a_client_writes_changes_nothing(written: Sequence[str], peer: str) -> None:
    """A client that writes whatever it likes is still counted as what the proxy saw."""
    assert behind.client(PROXY, [*written, CLIENT]) == CLIENT
    assert standard.client(PROXY, [*written, f"for={CLIENT}"]) == CLIENT
    assert behind.client(CLIENT, written) == CLIENT
    behind.client(peer, written)


@pytest.mark.parametrize("proxies", ["10.0.0.0/33", "proxy.example", "10.0.0.1/8", "10.0.0.1 10.0.0.2"])
def test_proxies_have_to_be_addresses(proxies: str) -> None:
    with pytest.raises(SettingsError, match="trusted_proxies"):
        Forwarded(proxies, "forwarded")


@pytest.fixture
def drop_settings(drop_settings: Settings) -> Settings:
    """Addresses are counted, and this machine's own is a proxy."""
    return replace(
        drop_settings,
        address_requests_per_second=0.5,
        address_requests_burst=3,
        trusted_proxies="127.0.0.1",
    )


async def test_an_address_is_asked_for_first_of_all(drop: Drop) -> None:
    async def ask(client: str, method: str, path: str, **headers: str) -> tuple[int, str]:
        reply = await drop.call(method, path, drop.token(), headers={"X-Forwarded-For": client, **headers})
        return reply.status, reply["code"] if reply.status >= 400 else ""

    assert [await ask(CLIENT, "GET", "/v1/waves/one-open") for _ in range(3)] == [(200, "")] * 3
    for method, path in (
        ("GET", "/v1/waves/one-open"),
        ("GET", "/nowhere"),
        ("DELETE", "/v1/time"),
        ("POST", "/v1/waves/one-open/claims"),
        ("GET", "/v1/ops/campaigns"),
        ("OPTIONS", "/v1/time"),
    ):
        assert await ask(CLIENT, method, path) == (429, "too_many_requests"), path
        assert await ask(f"{OTHER}, {CLIENT}", method, path) == (429, "too_many_requests"), path
    for path in ("/healthz", "/metrics"):
        assert (await drop.call("GET", path, headers={"X-Forwarded-For": CLIENT})).status == 200
    assert await ask(OTHER, "GET", "/v1/waves/one-open") == (200, "")
    refused = await drop.call("GET", "/v1/time", headers={"X-Forwarded-For": CLIENT})
    assert 1_000 < refused["retry_after_ms"] <= 5_001
    assert (await drop.call("GET", "/v1/time", headers={"Forwarded": f"for={CLIENT}"})).status == 200  # not the header


async def test_a_forged_header_of_a_stranger_is_not_believed(drop_settings: Settings) -> None:
    async with running_drop(replace(drop_settings, trusted_proxies="192.0.2.1")) as drop:
        sent = [{"X-Forwarded-For": f"203.0.113.{number}"} for number in range(5)]
        statuses = [(await drop.call("GET", "/v1/time", headers=headers)).status for headers in sent]
    assert statuses == [200, 200, 200, 429, 429]

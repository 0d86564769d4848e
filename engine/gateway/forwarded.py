"""Where a request comes from, when it comes through proxies.

A proxy says in a header whom it speaks for. Anybody can send such a header, so it is believed only of peers that the
setting `trusted_proxies` names, and only as far as they vouch for it: each proxy adds at the right whom it was asked
by, so the first address from the right that is no trusted proxy is the client, and what stands left of it is hearsay.
Only one of the two headers is looked at (`forwarded_header`): a proxy that writes the one passes the other on as the
client sent it.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from engine.errors import SettingsError

HOPS_MAX: Final = 16
"""Proxies in a row that are looked at; more are somebody's joke, and the last one looked at is taken."""
IPV6_PREFIX: Final = 64
"""What one customer gets at the least (RFC 6177); who has it has all its addresses."""
_FOR = re.compile(r'(?:^|;)\s*for=(?:"(?P<quoted>[^"]*)"|(?P<token>[^;,"\s]+))\s*(?:;|$)', re.IGNORECASE)

Address = IPv4Address | IPv6Address


class Forwarded:
    """Finds the client behind trusted proxies. Raises SettingsError where the list names no addresses."""

    def __init__(self, trusted_proxies: str, header: str) -> None:
        self._header = header
        self._trusted = [_network(name.strip()) for name in trusted_proxies.split(",") if name.strip()]

    @property
    def header(self) -> str:
        """The one header that is looked at."""
        return self._header

    def client(self, peer: str, lines: Sequence[str]) -> str:
        """The client's address, as it is counted (`counted_as`). `lines` are all values of the header, in their order.

        Empty where the peer has no address.
        """
        address = _address(peer)
        if address is None:
            return ""
        if self._trusted and self._is_trusted(address):
            hops = [hop for line in lines for hop in line.split(",")]
            for hop in hops[: -HOPS_MAX - 1 : -1]:
                named = _address(_host(hop, self._header))
                if named is None:  # "unknown", or not an address: whoever wrote it has to answer for it
                    break
                address = named
                if not self._is_trusted(address):
                    break
        return counted_as(address)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


@lru_cache(maxsize=4_096)
def counted_as(address: Address) -> str:
    """What shares a bucket: an IPv4 address, or the /64 of an IPv6 one."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, IPV6_PREFIX), strict=False))


@lru_cache(maxsize=4_096)  # a proxy's own address comes with every request
def _address(text: str) -> Address | None:
    """The address; one of IPv4 that is written as IPv6 is one of IPv4."""
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _host(hop: str, header: str) -> str:
    """The host of one hop, without the port that some proxies add and the brackets that IPv6 then has."""
    hop = hop.strip()
    if header == "forwarded":
        match = _FOR.search(hop)
        hop = (match["quoted"] or match["token"] or "") if match else ""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _network(name: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(name)
    except ValueError as error:
        raise SettingsError(f"trusted_proxies: {error}") from error

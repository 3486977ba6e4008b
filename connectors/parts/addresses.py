"""Which network addresses a connector may reach: every resolved one is checked.

Names in odd spellings (2130706433, 0x7f.1, a trailing dot) are harmless here, because what is
looked at is what they resolve to, and what is connected to is what was looked at.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from connectors.parts.errors import BadSettings, RefusedAddress, Transient

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Global addresses that only a cloud's own machines can reach, and that speak for the machine
_METADATA = {ipaddress.ip_address("168.63.129.16")}
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


def networks(described: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks in CIDR notation; raises BadSettings."""
    try:
        return tuple(ipaddress.ip_network(one) for one in described)
    except ValueError as error:
        raise BadSettings(f"`allow` takes networks such as 10.1.0.0/16: {error}.") from error


def is_public(address: Address) -> bool:
    """Return whether an address is one of the open internet, also where it wraps another."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address.teredo:
            inner = address.teredo[1]
        if any(address in network for network in _NAT64):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if int(address) < 1 << 32:  # the deprecated ::a.b.c.d
            return False
    return address.is_global and not address.is_multicast and address not in _METADATA


def resolve(host: str, port: int, allowed: Iterable[Network]) -> list[str]:
    """Return the host's addresses, each one checked.

    Raises RefusedAddress when any of them is not public and not in an allowed network, Transient
    when the name cannot be resolved.
    """
    allowed = tuple(allowed)
    try:
        found = socket.getaddrinfo(host.rstrip("."), port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise Transient(f"The name {host} cannot be resolved.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    for text in addresses:
        address = ipaddress.ip_address(text)
        if not is_public(address) and not any(address in network for network in allowed):
            raise RefusedAddress(
                f"{host} is an address inside a private network; allow its network to use it."
            )
    return addresses

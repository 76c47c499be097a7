"""Addresses of the internet, and networks of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_REMEMBERED: Final = 4096
"""Texts and addresses whose meaning is remembered, since clients send many requests each."""

_MAX_TEXT: Final = 64
_CLIENT_PREFIX: Final = 64
"""Bits of an IPv6 address that name a client: whoever has one such network may use any address in it (RFC 6177)."""


@lru_cache(MAX_REMEMBERED)
def read_address(text: str) -> Address | None:
    """Return an address; None where the text is none.

    Args:
        text: An IPv4 or IPv6 address. One of IPv4 that is written as IPv6 (`::ffff:192.0.2.1`) is that of IPv4, and the
            name of a network card after `%` is left out.
    """
    if len(text) > _MAX_TEXT or not text.isascii():
        return None
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(MAX_REMEMBERED)
def client_of(address: str) -> str:
    """Return whom an address belongs to, for limits: itself, or the network of 64 bits that it is in for IPv6."""
    found = read_address(address)
    if found is None or found.version == 4:
        return address
    return str(ipaddress.ip_network((int(found), _CLIENT_PREFIX), strict=False))


class Networks:
    """A set of networks."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Read the networks.

        Raises:
            ValueError: A text is none.
        """
        self._networks = tuple(map(ipaddress.ip_network, networks))
        # Of this set alone, and gone with it.
        self._holds = lru_cache(MAX_REMEMBERED)(self._look)

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._networks)

    def __contains__(self, address: Address) -> bool:
        """Return whether an address is in one of the networks."""
        return self._holds(address)

    def _look(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

"""Who a client is where proxies stand in between: only what trusted ones wrote is believed.

Each proxy appends the address of whoever it was called by, so that the list is read from its end: entries of trusted
proxies are passed over, and the first other one is the client. What stands before it, the client may have written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final

import structlog
from multidict import MultiMapping

from orchestrator_core.config import Settings
from orchestrator_core.security.networks import MAX_REMEMBERED, Address, Networks, read_address

MAX_HOPS: Final = 32
"""Proxies in a row; what stands further to the left is not read."""

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from.

    Attributes:
        address: The address of the client; None where even the connection has none.
        tls: Whether the client came over TLS, to this process or to a trusted proxy.
        countries: The countries that it is said to be in, as a trusted proxy passed them on. The last is the proxy's
            own word; what stands before it, the client may have written.
        proxy: Whether the address is that of a trusted proxy, which named no other.
    """

    address: str | None
    tls: bool = False
    countries: tuple[str, ...] = ()
    proxy: bool = False


@dataclass(frozen=True, slots=True)
class Hop:
    """What one proxy wrote.

    Attributes:
        address: Who called it; None where it does not say, or not in a form that is an address.
        proto: The scheme of that call, where it says.
    """

    address: Address | None
    proto: str = ""


class TrustedProxies:
    """Finds the client of a request."""

    def __init__(
        self, networks: Iterable[str], header: str = "x-forwarded-for", country_header: str | None = None
    ) -> None:
        """Trust some proxies.

        Args:
            networks: Their addresses and networks.
            header: Which header they write: `x-forwarded-for` or `forwarded`.
            country_header: The header in which they name the client's country.
        """
        self._networks = Networks(networks)
        self._header = header
        self._country_header = country_header
        self._warned = False

    @classmethod
    def from_settings(cls, settings: Settings) -> TrustedProxies:
        """Trust the proxies that the settings name."""
        return cls(settings.trusted_proxies, settings.forwarded_header, settings.country_header)

    def client(self, peer: str | None, headers: MultiMapping[str], *, tls: bool) -> Client:
        """Return the client of a request.

        Args:
            peer: The address of the other end of the connection.
            headers: The headers of the request.
            tls: Whether the connection is over TLS.
        """
        address = read_address(peer) if peer else None
        if address is None or not self._networks or address not in self._networks:
            if not self._warned and self._header in headers:
                self._warn(peer)
            return _connected(peer, tls)
        found, proto, proxy = address, "", True
        for hop in islice(self._hops(headers), MAX_HOPS):
            if hop.address is None:
                break  # nobody knows who called that proxy
            found, proto = hop.address, hop.proto
            if found not in self._networks:
                proxy = False
                break
        if self._header == "x-forwarded-for":
            proto = next(_from_the_end(*headers.getall("X-Forwarded-Proto", ("",)))).strip()
        countries = _countries(headers.getall(self._country_header, ())) if self._country_header else ()
        return Client(str(found), proto.lower() == "https" if proto else tls, countries, proxy)

    def _hops(self, headers: MultiMapping[str]) -> Iterator[Hop]:
        read = read_forwarded_for if self._header == "x-forwarded-for" else read_forwarded
        yield from map(read, _from_the_end(*headers.getall(self._header, ())))

    def _warn(self, peer: str | None) -> None:
        self._warned = True
        _logger.warning(
            "A request names another client than the one that is connected, and is not believed. Where a proxy stands "
            "in front, name it in ORCHESTRATOR_TRUSTED_PROXIES: until then all of its clients count as one.",
            remote=peer,
        )


@lru_cache(MAX_REMEMBERED)
def _connected(peer: str | None, tls: bool) -> Client:
    address = read_address(peer) if peer else None
    return Client(peer if address is None else str(address), tls)


def read_forwarded_for(entry: str) -> Hop:
    """Read an entry of `X-Forwarded-For`: an address, at some proxies with a port."""
    return Hop(_read_node(entry.strip()))


def read_forwarded(element: str) -> Hop:
    """Read an element of `Forwarded` (RFC 7239), such as `for="[2001:db8::1]:4711";proto=https`."""
    pairs: dict[str, str] = {}
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        pairs[name.strip().lower()] = value.strip().removeprefix('"').removesuffix('"')
    return Hop(_read_node(pairs.get("for", "")), pairs.get("proto", ""))


def _read_node(text: str) -> Address | None:
    """Read `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`."""
    if text.startswith("["):
        inner, closed, port = text[1:].partition("]")
        return read_address(inner) if closed and _is_port(port) and ":" in inner else None
    if text.count(":") == 1:
        text, colon, port = text.partition(":")
        if not _is_port(colon + port):
            return None
    return read_address(text)


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and text[1:].isdecimal() and len(text) <= 6)


def _countries(lines: Iterable[str]) -> tuple[str, ...]:
    codes = (code.strip().upper() for line in lines for code in line.split(","))
    return tuple(code for code in codes if code)


def _from_the_end(*lines: str) -> Iterator[str]:
    """Split at commas, from the end: quotes that a client left open there swallow nothing that a proxy appended."""
    for line in reversed(lines):
        comma: str = ","
        while comma:
            line, comma, entry = line.rpartition(",")  # noqa: PLW2901 - what is left of it
            yield entry

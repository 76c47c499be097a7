"""The settings of where clients come from."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from orchestrator_core.config.settings.base import SettingsGroup, lower

ForwardedHeader = Literal["x-forwarded-for", "forwarded"]

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_COUNTRY = re.compile(r"[A-Z]{2}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _of_ipv4(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return a network of IPv4 addresses that is written as IPv6 (`::ffff:10.0.0.0/104`) as that of IPv4."""
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        return ipaddress.IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED.prefixlen))
    return network


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    networks = []
    for index, text in enumerate(value, start=1):
        try:
            networks.append(str(_of_ipv4(ipaddress.ip_network(text))))
        except ValueError:
            raise ValueError(
                f"entry {index} is neither an address nor a network such as 10.0.0.0/8 or 2001:db8::/32, whose last "
                "bits must be zero"
            ) from None
    return tuple(networks)


def _hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    for index, text in enumerate(value, start=1):
        if not (_NAME.fullmatch(text) or _is_address(text)):
            raise ValueError(
                f"entry {index} is no host; expected a name such as gateway.example.com, or an address, without "
                "scheme, port or wildcard"
            )
    return value


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _countries(value: tuple[str, ...]) -> tuple[str, ...]:
    codes = tuple(code.upper() for code in value)
    if not all(_COUNTRY.fullmatch(code) for code in codes):
        raise ValueError("expected two-letter country codes (ISO 3166-1)")
    return codes


def _header(value: str | None) -> str | None:
    if value is not None and not _HEADER.fullmatch(value):
        raise ValueError("expected the name of a header, such as CF-IPCountry")
    return value


Networks = Annotated[tuple[str, ...], AfterValidator(_networks)]


class NetworkSettings(SettingsGroup):
    """Where clients come from."""

    trusted_proxies: Networks = Field(
        default=(),
        description="Addresses and networks of the proxies in front, whose word about the client's address, country "
        "and TLS is taken. Nobody else's is.",
    )
    forwarded_header: Annotated[ForwardedHeader, BeforeValidator(lower)] = Field(
        default="x-forwarded-for",
        description="Where those proxies write the client's address: `x-forwarded-for` (with `X-Forwarded-Proto`) or "
        "`forwarded` (RFC 7239). The other one is passed over, since a client may have sent it.",
    )
    allowed_hosts: Annotated[tuple[str, ...], AfterValidator(_hosts)] = Field(
        default=(),
        description="Names and addresses by which clients call the gateway (`Host`), beside those of the loopback. "
        "Without it any, but where nobody is asked for a credential and it listens on the loopback: there no other.",
    )
    allowed_addresses: Networks = Field(
        default=(), description="Addresses and networks that may use the gateway; without it all. Probes always may."
    )
    blocked_countries: Annotated[tuple[str, ...], AfterValidator(_countries)] = Field(
        default=(), description="Two-letter codes (ISO 3166-1) of countries to refuse. Needs one of the next two."
    )
    geoip_database: str | None = Field(
        default=None,
        description="A file in MaxMind's format (`.mmdb`) that knows the country of an address. Needs the extra "
        "`geoip`. SIGHUP reads it again.",
    )
    country_header: Annotated[str | None, AfterValidator(_header)] = Field(
        default=None,
        description="The header in which a trusted proxy names the client's country, such as `CF-IPCountry`.",
    )
    block_unknown_countries: bool = Field(
        default=False, description="Whether clients whose country nobody knows are refused as well."
    )

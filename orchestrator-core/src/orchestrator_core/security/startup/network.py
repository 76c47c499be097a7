"""Where clients may come from."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from orchestrator_core.config import ConfigError
from orchestrator_core.security.countries import Countries
from orchestrator_core.security.startup.subject import Subject

MIN_PREFIX = {4: 8, 6: 16}
"""Bits that a network of trusted proxies has to name at least, by the version of the protocol."""


def everybody_trusted(subject: Subject) -> Iterator[str]:
    """Yield each network of trusted proxies that is so wide that clients are in it: they could be anybody they like."""
    for number, text in enumerate(subject.settings.trusted_proxies, start=1):
        network = ipaddress.ip_network(text)
        if network.prefixlen < MIN_PREFIX[network.version]:
            yield (
                f"ORCHESTRATOR_TRUSTED_PROXIES: entry {number} trusts so wide a network that any client could name the "
                "address that it likes; list the proxies alone."
            )


def countries_unknown(subject: Subject) -> Iterator[str]:
    """Yield that countries are to be blocked, or are looked up for nothing."""
    given = subject.settings
    if given.blocked_countries and given.geoip_database is None and given.country_header is None:
        yield (
            "ORCHESTRATOR_BLOCKED_COUNTRIES: nothing tells a client's country, so that nothing would be blocked. Set "
            "ORCHESTRATOR_GEOIP_DATABASE, or ORCHESTRATOR_COUNTRY_HEADER where a trusted proxy writes one."
        )
    if given.country_header is not None and not given.trusted_proxies:
        yield (
            "ORCHESTRATOR_COUNTRY_HEADER: the header is believed from trusted proxies alone, and none is. Set "
            "ORCHESTRATOR_TRUSTED_PROXIES."
        )
    if given.block_unknown_countries and not given.blocked_countries:
        yield (
            "ORCHESTRATOR_BLOCK_UNKNOWN_COUNTRIES: no country is blocked, so that unknown ones are not either. Set "
            "ORCHESTRATOR_BLOCKED_COUNTRIES, or leave it out."
        )


def unreadable_countries(subject: Subject) -> Iterator[str]:
    """Yield that the file of countries cannot be used."""
    try:
        Countries.from_settings(subject.settings)
    except ConfigError as error:
        yield from error.problems

"""Which clients may use the gateway, by their address and country."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator_core.config import Settings
from orchestrator_core.security.countries import Countries
from orchestrator_core.security.events import SecurityEvent
from orchestrator_core.security.networks import Networks, read_address
from orchestrator_core.security.proxies import Client


class Refusal(NamedTuple):
    """Why a client is refused.

    Attributes:
        event: The security event.
        message: What the client is told.
    """

    event: SecurityEvent
    message: str


_ADDRESS = Refusal("address_refused", "This address may not use the gateway.")
_COUNTRY = Refusal("country_refused", "The gateway may not be used from this country.")


class NetworkPolicy:
    """Who may come in."""

    def __init__(self, settings: Settings, countries: Countries | None) -> None:
        """Take the policy of the settings.

        Args:
            settings: The operator's settings.
            countries: What knows the countries of addresses; None where only a proxy's header does.
        """
        self._allowed = Networks(settings.allowed_addresses)
        self._blocked = frozenset(settings.blocked_countries)
        self._block_unknown = settings.block_unknown_countries
        self._countries = countries

    def refusal(self, client: Client) -> Refusal | None:
        """Return why a client may not come in; None where it may.

        The country is the one that a trusted proxy names; where none does, the one of the file. A blocked one counts
        wherever it is named: hardly anybody lies to be refused.
        """
        if not (self._allowed or self._blocked):
            return None
        address = read_address(client.address) if client.address else None
        if self._allowed and (address is None or address not in self._allowed):
            return _ADDRESS
        if not self._blocked:
            return None
        if not self._blocked.isdisjoint(client.countries):
            return _COUNTRY
        country = client.countries[-1] if client.countries and client.countries[-1] not in _UNKNOWN else None
        if country is None and self._countries is not None and address is not None:
            country = self._countries.of(address)
        refused = self._block_unknown if country is None else country in self._blocked
        return _COUNTRY if refused else None


_UNKNOWN = frozenset({"XX", "ZZ"})
"""What proxies write for a country that they do not know (ISO 3166-1 leaves these codes to its users)."""

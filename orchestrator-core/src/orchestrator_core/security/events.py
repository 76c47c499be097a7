"""Security events: each has one name, in the log, in the metrics and in alerts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol, TypeAlias

import structlog

from orchestrator_core.security.alerts import AlertWebhook, Detail
from orchestrator_core.security.recent_events import RecentEvents

SecurityEvent: TypeAlias = Literal[
    "authentication_failed",
    "authentication_blocked",
    "permission_denied",
    "address_refused",
    "country_refused",
    "host_refused",
    "rate_limited",
    "budget_nearly_spent",
    "budget_exceeded",
    "suspicious_request",
    "malformed_request",
    "connection_refused",
    "provider_key_refused",
    "shared_state_lost",
    "shared_state_restored",
]

MEANINGS: Final[Mapping[SecurityEvent, str]] = {
    "authentication_failed": "A client credential is wrong or missing.",
    "authentication_blocked": "An address sent too many wrong credentials, and has to wait.",
    "permission_denied": "A client asked for what it may not use, or a page of a foreign origin did.",
    "address_refused": "A client's address is not among the allowed ones.",
    "country_refused": "A client is in a blocked country, or nobody knows in which it is and those are blocked.",
    "host_refused": "The gateway is called by a name that it does not have, as by a page that leads its name here.",
    "rate_limited": "A limit of requests fired.",
    "budget_nearly_spent": "A client has spent four fifths of its budget; told once for each period and process.",
    "budget_exceeded": "What is left of a client's budget, of which four fifths are spent, does not cover a call; told "
    "once for each period and process.",
    "suspicious_request": "A path, a query, an id or a header looks like an attack.",
    "malformed_request": "What came is not valid HTTP, or its head is too large.",
    "connection_refused": "There are too many connections, in all or from one address.",
    "provider_key_refused": "A provider refused a key of the server.",
    "shared_state_lost": "Redis is away, so that each process counts alone against its part of the limits.",
    "shared_state_restored": "Redis is back.",
}
"""What each event means."""

_logger = structlog.get_logger(__name__)


class EventCounter(Protocol):
    """What counts events: `telemetry.metrics.Metrics`."""

    def observe_security_event(self, event: str) -> None:
        """Count one event."""
        ...


class SecurityEvents:
    """Where security events are reported.

    Attributes:
        recent: The newest of them.
    """

    def __init__(self, counter: EventCounter, alerts: AlertWebhook | None = None) -> None:
        """Take where events go.

        Args:
            counter: Counts them.
            alerts: Posts them; None where nobody is to be told.
        """
        self.recent = RecentEvents()
        self._counter = counter
        self._alerts = alerts

    def report(self, event: SecurityEvent, **details: Detail) -> None:
        """Log a security event as a warning, count it, keep it for a while, and have whoever is to know told.

        Args:
            event: Its name.
            **details: Who and where, such as `principal`, `remote`, `path`. Never a credential.
        """
        _logger.warning("Security event", security_event=event, **details)
        self._counter.observe_security_event(event)
        self.recent.add(event, details)
        if self._alerts is not None:
            self._alerts.add(event, details)

"""Security events: each has one name, in the log and in the metrics."""

from __future__ import annotations

from typing import Literal, Protocol

import structlog

SecurityEvent = Literal[
    "authentication_failed",
    "permission_denied",
    "rate_limited",
    "suspicious_request",
    "provider_key_refused",
    "unauthenticated_network",
    "shared_state_lost",
    "shared_state_restored",
]
"""`authentication_failed`: a wrong or missing client credential. `permission_denied`: a client asked for what it may
not use. `rate_limited`: a limit fired. `suspicious_request`: a path or id looks like an attack. `provider_key_refused`:
a provider refused a key of the server. `unauthenticated_network`: the gateway listens beyond this machine and asks
nobody for a credential. `shared_state_lost`: Redis is away, so that each process counts alone against its part
of the limits; `shared_state_restored`: it is back."""

_logger = structlog.get_logger(__name__)


class EventCounter(Protocol):
    """What counts events: `telemetry.metrics.Metrics`."""

    def observe_security_event(self, event: str) -> None:
        """Count one event."""
        ...


def report(event: SecurityEvent, metrics: EventCounter | None = None, **details: str | int | float | None) -> None:
    """Log a security event as a warning and count it.

    Args:
        event: Its name.
        metrics: What counts it.
        details: Who and where, such as `principal`, `remote`, `path`. Never a credential.
    """
    _logger.warning("Security event", security_event=event, **details)
    if metrics is not None:
        metrics.observe_security_event(event)

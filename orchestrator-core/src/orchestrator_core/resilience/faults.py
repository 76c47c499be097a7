"""Which errors say that a provider fails, and which say nothing of it."""

from __future__ import annotations

from typing import Final

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import (
    AnswerTooLarge,
    CircuitOpen,
    GatewayError,
    ProviderFailed,
    ProviderNotConfigured,
    ProviderTimeout,
    ProviderUnavailable,
)

_FAULTS: Final = (ProviderFailed, ProviderUnavailable, ProviderTimeout)
_NO_FAULTS: Final = (ProviderNotConfigured, CircuitOpen, AnswerTooLarge)


def patience(settings: Settings) -> float:
    """Return the seconds within which a provider should have begun to answer, whatever the caller's own limit."""
    return min(settings.first_event_timeout, settings.total_timeout / 2)


def is_fault(error: GatewayError, *, in_time: bool) -> bool:
    """Whether an error is the provider's own: it was not reached, was silent, failed, or answered with nonsense.

    What the caller did wrong is not, nor is a key that was refused, a limit that was reached, a bound of the gateway,
    or a plugin that broke.

    Args:
        error: How the call ended.
        in_time: Whether the provider had the time that it should need. A caller who allows a request less finds a
            timeout that is not the provider's.
    """
    if isinstance(error, ProviderTimeout):
        return in_time
    return isinstance(error, _FAULTS) and not isinstance(error, _NO_FAULTS)

"""What stands between calls and providers that fail: one set for all calls of a gateway."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from orchestrator_core.config import Settings
from orchestrator_core.orchestration.hedging import Hedging
from orchestrator_core.plugins import Provider
from orchestrator_core.provider_api import (
    GatewayError,
    ProviderAuthFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    Secret,
)
from orchestrator_core.resilience.admission import Admission, Bounds
from orchestrator_core.resilience.breaker import BreakerRules, State
from orchestrator_core.resilience.breakers import Breakers
from orchestrator_core.resilience.faults import patience
from orchestrator_core.resilience.keys import LIMITED_REST, REST, KeyRing
from orchestrator_core.resilience.retry_budget import RetryBudget
from orchestrator_core.security.events import SecurityEvents
from orchestrator_core.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

_OF_A_KEY = (ProviderAuthFailed, ProviderQuotaExhausted, ProviderRateLimited)
"""Errors that another key may not have."""

_SHORTEST_REST = 1.0


class Guards:
    """Places for calls, breakers, the retry budget, hedging, and what is known of the server's keys.

    Attributes:
        admission: Gives places to calls.
        breakers: A breaker for each provider and model.
        budget: How many retries there may be.
        hedging: Asks a second target where the first is late.
        keys: Which keys are to rest.
        metrics: Count the tries after others that failed.
        watched: Whether what a look found of a provider is kept up to date, so that routing may go by it.
        patience: Seconds within which a provider should have begun to answer.
    """

    def __init__(
        self,
        settings: Settings,
        events: SecurityEvents,
        metrics: Metrics,
        on_change: Callable[[str, str, State], None],
    ) -> None:
        """Make them.

        Args:
            settings: The operator's.
            events: Is told of keys that were refused.
            metrics: Count who waits, who is refused, and who is asked again.
            on_change: Told the provider, the model and the state when a circuit opens or closes.
        """
        self.admission = Admission(
            Bounds.from_settings(settings), metrics.count_call_waiting, metrics.observe_refused_call
        )
        self.breakers = Breakers(BreakerRules.from_settings(settings), on_change, enabled=settings.breaker_enabled)
        self.budget = RetryBudget()
        self.hedging = Hedging(settings.hedge_after, self.budget, metrics)
        self.keys = KeyRing()
        self.metrics = metrics
        self.watched = settings.monitoring_enabled
        self.patience = patience(settings)
        self._events = events

    def keys_left(self, provider: Provider, error: GatewayError) -> bool:
        """Whether a provider has another key that may do where one did not."""
        return isinstance(error, _OF_A_KEY) and self.keys.another(provider.keys)

    def key_failed(self, provider: Provider, key: Secret, error: GatewayError) -> None:
        """Let a key of the server rest that was refused, is without quota, or has reached its limit."""
        if not isinstance(error, _OF_A_KEY) or key not in provider.keys:
            return
        seconds = REST
        if isinstance(error, ProviderRateLimited):
            seconds = LIMITED_REST if error.retry_after is None else max(error.retry_after, _SHORTEST_REST)
        if not self.keys.rest(key, seconds):
            return
        # By its place in the configuration: no part of a key belongs into a log.
        place = list(provider.keys).index(key) + 1
        if isinstance(error, ProviderAuthFailed):
            self._events.report("provider_key_refused", provider=provider.id, key=place, keys=len(provider.keys))
        else:
            log.warning("key rests", provider=provider.id, key=place, keys=len(provider.keys), error=error.code)

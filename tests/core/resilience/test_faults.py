"""What counts against a provider."""

from __future__ import annotations

import pytest

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import (
    AnswerTooLarge,
    CircuitOpen,
    ContentBlocked,
    ContextTooLong,
    DeadlineExceeded,
    GatewayError,
    InvalidRequest,
    Overloaded,
    PluginError,
    ProviderAuthFailed,
    ProviderBadResponse,
    ProviderFailed,
    ProviderNotConfigured,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    ProviderUnreachable,
    ShuttingDown,
)
from orchestrator_core.resilience.faults import is_fault, patience


@pytest.mark.parametrize("kind", [ProviderFailed, ProviderUnavailable, ProviderUnreachable, ProviderBadResponse])
def test_what_a_provider_does_wrong_is_its_fault_however_short_the_time(kind: type[GatewayError]) -> None:
    assert is_fault(kind("no"), in_time=True)
    assert is_fault(kind("no"), in_time=False)


@pytest.mark.parametrize(
    "kind",
    [
        ProviderRefused,
        ContextTooLong,
        ContentBlocked,
        ProviderAuthFailed,
        ProviderQuotaExhausted,
        ProviderRateLimited,
        ProviderNotConfigured,
        CircuitOpen,
        AnswerTooLarge,
        PluginError,
        Overloaded,
        ShuttingDown,
        DeadlineExceeded,
        InvalidRequest,
    ],
)
def test_what_the_caller_a_key_or_the_gateway_is_to_blame_for_is_not(kind: type[GatewayError]) -> None:
    assert not is_fault(kind("no"), in_time=True)


def test_silence_is_its_fault_only_where_it_had_the_time() -> None:
    assert is_fault(ProviderTimeout("slow"), in_time=True)
    assert not is_fault(ProviderTimeout("slow"), in_time=False)


def test_a_provider_has_the_time_that_is_configured() -> None:
    assert patience(Settings()) == 120
    assert patience(Settings(total_timeout=1)) == 0.5

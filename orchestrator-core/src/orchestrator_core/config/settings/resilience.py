"""The settings of what protects calls from providers that fail, and those providers from the calls."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from orchestrator_core.config.settings.base import Count, Seconds, SettingsGroup


class ResilienceSettings(SettingsGroup):
    """Breakers and hedging: when a failing provider is left alone, and when a slow one is not waited for alone."""

    breaker_enabled: bool = Field(
        default=True, description="Whether a provider and model that keeps failing is left alone for a while."
    )
    breaker_failure_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = Field(
        default=0.5, description="The share of calls that fail, from which a provider and model is left alone."
    )
    breaker_minimum_calls: Count = Field(
        default=10, description="Calls to a provider and model below which their share says nothing."
    )
    breaker_window: Seconds = Field(default=30.0, description="Seconds back to which the calls are counted.")
    breaker_cooldown: Seconds = Field(
        default=15.0, description="Seconds for which it is left alone, before a few calls find out how it is."
    )
    breaker_probes: Count = Field(default=1, description="How many of these calls there are at a time.")
    hedge_after: Seconds | None = Field(
        default=None,
        description="Seconds after which a stream that has not begun is asked of the next target too, as far as the "
        "budget of retries goes; whichever begins first is the answer. Without it none is.",
    )

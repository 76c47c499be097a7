"""Looks at every provider's health in the background, without spending tokens."""

from __future__ import annotations

import asyncio

from orchestrator_core.orchestration import Gateway
from orchestrator_core.plugins import Provider
from orchestrator_core.provider_api import HealthRequest

HEALTH_TIMEOUT = 10.0
"""Seconds that one look may take."""


async def watch_health(gateway: Gateway) -> None:
    """Look again and again, the first time at once, until cancelled."""
    interval = gateway.config.settings.metrics_collection_interval
    while True:
        providers = gateway.registry.usable
        await asyncio.gather(*(_look(gateway, provider) for provider in providers))
        await asyncio.sleep(interval)


async def _look(gateway: Gateway, provider: Provider) -> None:
    credential = provider.keys[0] if provider.keys else None
    deadline = gateway.deadline(HEALTH_TIMEOUT)
    report = await provider.health(HealthRequest(deadline=deadline, credential=credential))
    gateway.metrics.observe_health(provider.id, report.healthy)

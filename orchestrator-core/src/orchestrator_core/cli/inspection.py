"""What the commands that only look say of providers and keys: rows of plain values, without any secret."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator_core.cli.parts import open_registry
from orchestrator_core.config import Config
from orchestrator_core.plugins import Provider
from orchestrator_core.provider_api import HealthRequest


async def provider_rows(config: Config, *, probe: bool) -> Sequence[Mapping[str, Any]]:
    """Describe every provider.

    Args:
        config: The configuration.
        probe: Whether to ask each configured provider if it answers.
    """
    async with open_registry(config) as registry:
        found = list(registry.providers.values())
        if probe:
            await asyncio.gather(*(_probe(config, provider) for provider in found if provider.configured))
        return [_provider_row(provider, probed=probe and provider.configured) for provider in found]


async def key_rows(config: Config) -> Sequence[Mapping[str, Any]]:
    """Describe every configured key by its masked form and its verdict."""
    async with open_registry(config) as registry:
        return [
            {
                "provider": provider.id,
                "key": verdict.masked,
                "verdict": verdict.status,
                "reason": verdict.reason,
            }
            for provider in registry.providers.values()
            for verdict in provider.verdicts
        ]


async def _probe(config: Config, provider: Provider) -> None:
    deadline = config.settings.deadline(2 * config.settings.connect_timeout)
    await provider.health(HealthRequest(deadline=deadline, credential=next(iter(provider.keys), None)))


def _provider_row(provider: Provider, *, probed: bool) -> Mapping[str, Any]:
    return {
        "name": provider.id,
        "title": provider.info.title,
        "configured": provider.configured,
        "healthy": provider.healthy if probed else None,
        "default_model": provider.default_model("chat"),
        "capabilities": list(provider.info.capabilities),
        "models": [model.id for model in provider.models],
        "detail": provider.health_detail,
    }

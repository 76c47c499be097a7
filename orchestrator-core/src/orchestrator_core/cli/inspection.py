"""What the commands that only look say of providers and keys: rows of plain values, without any secret."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator_core.cli.parts import discovered, open_registry
from orchestrator_core.config import Config, ConfigError
from orchestrator_core.plugins import Provider
from orchestrator_core.plugins.loading import FoundPlugin, find_plugins
from orchestrator_core.plugins.manager import implemented_hooks
from orchestrator_core.provider_api import HealthRequest
from orchestrator_core.resilience.shared_circuits import read_circuits
from orchestrator_core.resilience.shared_state import SharedState, SharedStateLost


async def provider_rows(config: Config, *, probe: bool) -> Sequence[Mapping[str, Any]]:
    """Describe every provider.

    Args:
        config: The configuration.
        probe: Whether to ask each configured provider if it answers.
    """
    async with open_registry(config) as registry:
        open_circuits = await _open_circuits(config)
        found = list(registry.providers.values())
        if probe:
            await asyncio.gather(*(_probe(config, provider) for provider in found if provider.configured))
        rows = [_provider_row(provider, probed=probe and provider.configured) for provider in found]
    left_alone = [None if open_circuits is None else open_circuits.get(provider.id, []) for provider in found]
    return [{**row, "left_alone": models} for row, models in zip(rows, left_alone, strict=True)]


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


async def plugin_rows(config: Config) -> Sequence[Mapping[str, Any]]:
    """Describe every installed plugin, whatever is wrong with it."""
    found = await asyncio.to_thread(find_plugins, config.settings.plugin_load_timeout, config.settings.allowed_plugins)
    reasons: dict[str, str] = {}
    try:
        async with discovered(config, found) as registry:
            reasons = {plugin.name: plugin.reason for plugin in registry.quarantined}
    except ConfigError:
        pass  # it keeps the gateway from starting, and is said then; here it must not keep the list from being shown
    return [_plugin_row(plugin, found, reasons.get(plugin.name)) for plugin in found]


def claimed_names(plugin: FoundPlugin) -> Sequence[str]:
    """Return the names by which callers reach a plugin; that of its entry point where it does not load."""
    return sorted({plugin.cls.info.name, *plugin.cls.info.aliases}) if plugin.cls else [plugin.name]


def clashing_names(plugin: FoundPlugin, found: Sequence[FoundPlugin]) -> Sequence[str]:
    """Return the names of a plugin that another one claims too; one that does not load claims none."""
    if plugin.cls is None:
        return []
    claims = Counter(name for other in found if other.cls for name in claimed_names(other))
    return [name for name in claimed_names(plugin) if claims[name] > 1]


async def _open_circuits(config: Config) -> Mapping[str, Sequence[str]] | None:
    """Return the models that the running gateways leave alone, by provider; None where they share nothing by Redis."""
    shared = SharedState.from_settings(config.settings, lambda _: None)
    if shared is None:
        return None
    try:
        await shared.start()
        circuits = await read_circuits(shared)
    except SharedStateLost:
        return None
    finally:
        await shared.close()
    found: dict[str, list[str]] = {}
    for (provider, model), seconds in circuits.items():
        if seconds > 0:
            found.setdefault(provider, []).append(model)
    return found


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


def _plugin_row(plugin: FoundPlugin, found: Sequence[FoundPlugin], reason: str | None) -> Mapping[str, Any]:
    clashes = clashing_names(plugin, found)
    fault = plugin.fault or reason
    if fault is not None:
        state = "quarantined"
    elif clashes:
        state, fault = "clash", f"another distribution claims {', '.join(clashes)} too: uninstall one of them"
    else:
        state = "usable"
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "contract": plugin.cls.info.contract_version if plugin.cls else None,
        "hooks": sorted(implemented_hooks(plugin.cls)) if plugin.cls else [],
        "state": state,
        "reason": fault,
    }

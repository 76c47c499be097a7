"""New keys of the providers, and a new file of countries, taken while the gateway serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from orchestrator_core.config import Config, ConfigError, Settings
from orchestrator_core.orchestration import Gateway
from orchestrator_core.plugins import Registry
from orchestrator_core.plugins.fresh_keys import FreshKeys, FreshRegistry, reading_keys
from orchestrator_core.security.countries import Countries
from orchestrator_core.security.startup import describe
from orchestrator_core.server.signals import Signals, say

_logger = structlog.get_logger(__name__)


async def take_keys(
    gateway: Gateway, signals: Signals, reload: Callable[[], Config], countries: Countries | None = None
) -> None:
    """Take new keys of the providers, and what is new of countries, whenever the process is told to.

    Files and plugins have `ORCHESTRATOR_PLUGIN_LOAD_TIMEOUT` for it, on a thread, so that one that hangs stops nothing.
    """
    while True:
        await signals.hangup.wait()
        signals.hangup.clear()
        reading = reading_keys(partial(_read, gateway.registry, reload))
        await asyncio.to_thread(reading.run, gateway.config.settings.plugin_load_timeout)
        if isinstance(reading.result, FreshRegistry):
            _use_keys(reading.result, gateway, aloud=signals.aloud)
        else:
            _logger.error(
                "Keys not reloaded", problems=[reading.fault] if reading.result is None else list(reading.result)
            )
        if countries is not None:
            await _read_again(countries)


def _read(registry: Registry, reload: Callable[[], Config]) -> FreshRegistry | Sequence[str]:
    """Return the keys as they are now, or what is wrong with the configuration that has them."""
    try:
        return registry.fresh_keys(reload())
    except ConfigError as error:
        return list(error.problems)


async def _read_again(countries: Countries) -> None:
    try:
        await asyncio.to_thread(countries.read_again)
    except ConfigError as error:
        _logger.error("Countries not reloaded; what was known stays", problems=list(error.problems))  # noqa: TRY400 - as above
    else:
        _logger.info("Countries reloaded")


def keep_keys(config: Config, registry: Registry, reload: Callable[[], Config]) -> None:
    """Have in a configuration the keys that processes with it take now, for those that are made with it later.

    Args:
        config: The configuration.
        registry: The providers that were made with it.
        reload: Reads the configuration again.
    """
    try:
        fresh = registry.fresh_keys(reload())
    except ConfigError:
        return  # no process takes any, and each says why
    for name, keys in fresh.providers.items():
        if not _refused(keys, config.settings):
            config.use_keys(name, keys.keys)


def _refused(keys: FreshKeys, settings: Settings) -> bool:
    """Whether a provider keeps its old keys, since the fresh ones are not well-formed."""
    return bool(keys.flaws) and settings.production and settings.key_check == "strict"


def _use_keys(fresh: FreshRegistry, gateway: Gateway, *, aloud: bool) -> None:
    """Check fresh keys as at the start, print what was found, and give the providers those that may be used."""
    config = gateway.config
    if aloud:
        for line in describe(config.settings, fresh.providers.values()):
            say(line)
    if fresh.problems:
        _logger.error("Keys not reloaded", problems=list(fresh.problems))
    taken = []
    for name, keys in fresh.providers.items():
        if _refused(keys, config.settings):
            _logger.error("Keys not reloaded; the old ones stay", provider=name, problems=list(keys.flaws))
            continue
        if keys.flaws:
            _logger.warning("Keys reloaded that are not well-formed", provider=name, problems=list(keys.flaws))
        if keys.keys or keys.provider.keys:
            taken.append(name)
        keys.use()
        gateway.guards.keys.forget(keys.keys)
    if taken:
        _logger.info("Keys reloaded", providers=taken)

"""New keys of the providers, and a new file of countries, taken while the gateway serves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import structlog

from orchestrator_core.config import Config, ConfigError, Settings
from orchestrator_core.orchestration import Gateway
from orchestrator_core.plugins import Registry
from orchestrator_core.plugins.fresh_keys import FreshKeys, FreshRegistry
from orchestrator_core.plugins.loading import Isolated
from orchestrator_core.security.countries import Countries
from orchestrator_core.security.startup import describe
from orchestrator_core.server.signals import Signals, say

T = TypeVar("T")

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
        try:
            fresh = await _aside(partial(read_keys, gateway.config, gateway.registry, reload))
            _use_keys(fresh, gateway, aloud=signals.aloud)
            if countries is not None:
                problems = await _aside(partial(read_countries, gateway.config, countries))
                if problems:
                    _logger.error("Countries not reloaded; what was known stays", problems=problems)
                else:
                    _logger.info("Countries reloaded")
        except RuntimeError:
            _logger.exception("Keys and countries not reloaded, since no thread is to be had: send SIGHUP again")


async def _aside(work: Callable[[], T]) -> T:
    """Run what waits for files, on a thread for whose end nobody waits who stops the gateway.

    Raises:
        RuntimeError: There can be no further thread.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def give(outcome: Callable[[], None]) -> None:
        if not result.done():
            outcome()

    def run() -> None:
        try:
            outcome = partial(result.set_result, work())
        except RuntimeError as error:
            outcome = partial(result.set_exception, error)
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(give, outcome)

    threading.Thread(target=run, name="new keys", daemon=True).start()
    return await result


def read_keys(config: Config, registry: Registry, reload: Callable[[], Config]) -> FreshRegistry:
    """Return the keys as they are now. What hangs is left behind, and nothing is used of what it says later.

    Args:
        config: The configuration that is in use; it says how long to wait.
        registry: The providers that were made with it.
        reload: Reads the configuration again.
    """
    timeout = config.settings.plugin_load_timeout
    fresh = _read(reload, "the configuration", timeout)
    return registry.fresh_keys(fresh, timeout) if isinstance(fresh, Config) else FreshRegistry({}, fresh)


def read_countries(config: Config, countries: Countries) -> Sequence[str]:
    """Take what the file of countries says now, or say why not. It waits no longer for it than `read_keys` does."""
    fresh = _read(countries.read_again, "the file of countries", config.settings.plugin_load_timeout)
    if not callable(fresh):
        return fresh
    countries.use(fresh)
    return ()


def _read(read: Callable[[], T], what: str, timeout: float) -> T | Sequence[str]:
    """Return what is read, or what is wrong with it."""

    def reading() -> T | Sequence[str]:
        try:
            return read()
        except ConfigError as error:
            return error.problems

    done = Isolated(reading, f"reading {what}", "look at the disk that it is on").run(timeout)
    return done.result if done.result is not None else [done.fault or "nothing was read"]


def keep_keys(config: Config, fresh: FreshRegistry) -> None:
    """Have in a configuration the keys that processes with it take now, for those that are made with it later.

    Args:
        config: The configuration.
        fresh: The keys.
    """
    for name, keys in fresh.providers.items():
        if not _refused(keys, config.settings):
            config.use_keys(name, keys.keys)


def _refused(keys: FreshKeys, settings: Settings) -> bool:
    """Whether a provider keeps its old keys, since the fresh ones are not well-formed."""
    return bool(keys.flaws) and settings.production and settings.key_check == "strict"


def _use_keys(fresh: FreshRegistry, gateway: Gateway, *, aloud: bool) -> None:
    """Check fresh keys as at the start, print what was found, and give the providers those that may be used."""
    config = gateway.config
    if aloud and fresh.providers:
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

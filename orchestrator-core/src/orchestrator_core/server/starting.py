"""From the configuration to a gateway that is ready to serve."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal

import structlog

from orchestrator_core.config import Config, ConfigError
from orchestrator_core.orchestration import Gateway
from orchestrator_core.plugins import Registry, discover
from orchestrator_core.plugins.loading import FoundPlugin
from orchestrator_core.security.startup import StartupReport, check
from orchestrator_core.server.signals import say
from orchestrator_core.sessions import open_store
from orchestrator_core.sessions.first_look import has_client_key
from orchestrator_core.telemetry import logging
from orchestrator_core.telemetry.metrics import Metrics
from orchestrator_core.telemetry.price_tables import load_tables
from orchestrator_core.telemetry.redaction import REDACTOR
from orchestrator_core.telemetry.request_record import waiting_for_provider
from orchestrator_core.telemetry.traces import leaving_for, note_store
from orchestrator_core.upstream import ClientFactory, UpstreamLimits

_logger = structlog.get_logger(__name__)


@asynccontextmanager
async def started(
    config: Config, metrics: Metrics | None = None, *, found: Sequence[FoundPlugin] | None = None
) -> AsyncGenerator[Gateway, None]:
    """Discover the providers, check everything, print what was found, and open the store.

    Args:
        config: The configuration.
        metrics: What counts; metrics of this process alone where None.
        found: The installed plugins, where all was found and checked for this configuration already, so that nothing is
            judged or printed again.

    Raises:
        ConfigError: The gateway must not start; every reason is in it.
        StorageError: The store cannot be opened.
    """
    metrics = metrics or Metrics()
    clients = ClientFactory(UpstreamLimits.from_settings(config.settings), waiting_for_provider, leaving_for)

    def observe(kind: Literal["read", "write"], seconds: float, code: str | None) -> None:
        metrics.observe_store(kind, seconds, code)
        note_store(kind, seconds, code)

    try:
        if found is None:
            registry = await _checked(config, clients)
        else:
            registry = await discover(config, clients.client, found)
        # First, so that the memory that reading them takes is used again by all that comes.
        load_tables(provider.info.price_id for provider in registry.usable if provider.info.price_id)
        store = open_store(config.settings, redact=REDACTOR.redact, observe=observe)
        gateway = Gateway(config, registry, store, metrics)
        await gateway.start()
        try:
            yield gateway
        finally:
            await gateway.close()
    finally:
        await clients.close()


async def examine(config: Config) -> StartupReport:
    """Check everything that a start checks. Nothing is made or called, and nothing serves."""
    logging.configure(config.settings)  # plugins that are set aside are logged
    clients = ClientFactory(UpstreamLimits.from_settings(config.settings))
    try:
        return (await _judged(config, clients))[1]
    finally:
        await clients.close()


async def examine_rest(error: ConfigError) -> StartupReport:
    """Check what is left of a configuration that cannot be read, so that everything is said at once.

    Args:
        error: What reading it raised.

    Returns:
        What was found, after what reading found.
    """
    if error.rest is None:
        return StartupReport(lines=(), problems=error.problems, warnings=())
    found = await examine(error.rest)
    # What has the default in place of a wrong value is not judged: `X_FILE cannot be read` says all of `X`.
    wrong = [problem.partition(":")[0] for problem in error.problems]
    more = [
        problem for problem in found.problems if not any(name.startswith(problem.partition(":")[0]) for name in wrong)
    ]
    return replace(found, problems=[*error.problems, *more])


async def _checked(config: Config, clients: ClientFactory) -> Registry:
    """Make the providers, and print what is found of everything."""
    registry, found = await _judged(config, clients)
    for line in found.lines:
        say(line)
    for warning in found.warnings:
        _logger.warning(warning)
    if registry is None or found.problems:
        raise ConfigError(found.reasons)
    return registry


async def _judged(config: Config, clients: ClientFactory) -> tuple[Registry | None, StartupReport]:
    """Make the providers, where that can be, and check everything."""
    # Where one is configured, none is looked for.
    stored_keys = config.settings.client_key is None and await has_client_key(config.settings)
    try:
        registry = await discover(config, clients.client)
    except ConfigError as error:
        found = check(config, None, stored_keys=stored_keys)
        return None, replace(found, problems=[*error.problems, *found.problems])
    return registry, check(config, registry, stored_keys=stored_keys)

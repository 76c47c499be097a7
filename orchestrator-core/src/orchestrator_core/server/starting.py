"""From the configuration to a gateway that is ready to serve."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from orchestrator_core.config import Config, ConfigError
from orchestrator_core.orchestration import Gateway
from orchestrator_core.plugins import discover
from orchestrator_core.security.startup import check
from orchestrator_core.server.signals import say
from orchestrator_core.sessions import open_store
from orchestrator_core.telemetry.metrics import Metrics
from orchestrator_core.telemetry.redaction import REDACTOR
from orchestrator_core.upstream import ClientFactory, UpstreamLimits

_logger = structlog.get_logger(__name__)


@asynccontextmanager
async def started(
    config: Config, metrics: Metrics | None = None, *, aloud: bool = True
) -> AsyncGenerator[Gateway, None]:
    """Discover the providers, check everything, print what was found, and open the store.

    Args:
        config: The configuration.
        metrics: What counts; metrics of this process alone where None.
        aloud: Whether to print what was found; problems are raised in any case.

    Raises:
        ConfigError: The gateway must not start; every reason is in it.
        StorageError: The store cannot be opened.
    """
    clients = ClientFactory(UpstreamLimits.from_settings(config.settings))
    await clients.start()
    try:
        try:
            registry = await discover(config, clients.client)
        except ConfigError as error:
            raise ConfigError([*error.problems, *check(config, None).problems]) from None
        found = check(config, registry)
        if aloud:
            for line in found.lines:
                say(line)
            for warning in found.warnings:
                _logger.warning(warning)
        if found.problems:
            raise ConfigError(found.problems)
        store = open_store(config.settings, redact=REDACTOR.redact)
        gateway = Gateway(config, registry, store, metrics or Metrics())
        await gateway.start()
        try:
            yield gateway
        finally:
            await gateway.close()
    finally:
        await clients.close()

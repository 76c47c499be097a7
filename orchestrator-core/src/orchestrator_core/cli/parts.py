"""The parts of a gateway, for commands that run without a server. Only what needs them imports this module."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from orchestrator_core.config import Config
from orchestrator_core.orchestration import Gateway
from orchestrator_core.plugins import Registry, discover
from orchestrator_core.plugins.discovery import assemble
from orchestrator_core.plugins.loading import FoundPlugin
from orchestrator_core.sessions import open_store
from orchestrator_core.telemetry import logging
from orchestrator_core.telemetry.metrics import Metrics
from orchestrator_core.telemetry.redaction import REDACTOR
from orchestrator_core.upstream import ClientFactory, UpstreamLimits


@asynccontextmanager
async def discovered(config: Config, found: Sequence[FoundPlugin] | None = None) -> AsyncGenerator[Registry, None]:
    """Discover the providers; their connections are closed at the end.

    Args:
        config: The configuration.
        found: The plugins, where they have been loaded before.

    Raises:
        ConfigError: Names clash, or a provider's settings cannot be used.
    """
    logging.configure(config.settings)  # to standard error: standard output is for the answer
    clients = ClientFactory(UpstreamLimits.from_settings(config.settings))
    try:
        if found is None:
            yield await discover(config, clients.client)
        else:
            yield assemble(config, clients.client, found)
    finally:
        await clients.close()


@asynccontextmanager
async def open_registry(config: Config) -> AsyncGenerator[Registry, None]:
    """Start the providers, and close them at the end.

    Raises:
        ConfigError: As for `discovered`.
    """
    async with discovered(config) as registry:
        await registry.start()
        try:
            yield registry
        finally:
            await registry.close()


@asynccontextmanager
async def open_gateway(config: Config) -> AsyncGenerator[Gateway, None]:
    """Start a gateway without a server over it, and close it at the end.

    Raises:
        ConfigError: As for `discovered`.
        StorageError: The conversation store cannot be opened, for instance because a server has it.
    """
    async with discovered(config) as registry:
        gateway = Gateway(config, registry, open_store(config.settings, redact=REDACTOR.redact), Metrics())
        await gateway.start()
        try:
            yield gateway
        finally:
            await gateway.close()

"""Runs the gateway as a process: from the configuration to the exit code."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

import structlog
from aiohttp import web

from orchestrator_core.config import Config, ConfigError, load
from orchestrator_core.orchestration import Gateway
from orchestrator_core.plugins import discover
from orchestrator_core.plugins.fresh_keys import FreshRegistry
from orchestrator_core.security.startup import check
from orchestrator_core.server.app import make_app
from orchestrator_core.server.connection import GatewayRunner
from orchestrator_core.server.lifecycle import LIFECYCLE
from orchestrator_core.server.watch import watch_health
from orchestrator_core.sessions import open_store
from orchestrator_core.telemetry import logging
from orchestrator_core.telemetry.metrics import Metrics
from orchestrator_core.telemetry.redaction import REDACTOR
from orchestrator_core.upstream import ClientFactory, UpstreamLimits

EXIT_STOPPED = 0
EXIT_NO_ADDRESS = 1
BACKLOG = 1024
"""Connections that the system may keep until they are accepted."""

T = TypeVar("T")

_logger = structlog.get_logger(__name__)


def serve(config: Config, reload: Callable[[], Config] = load) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        config: The configuration.
        reload: Reads the configuration again, for the providers' keys, on SIGHUP.

    Returns:
        The exit code of the process.

    Raises:
        ConfigError: The gateway must not start; every reason is in it.
        StorageError: The store cannot be opened.
    """
    logging.configure(config.settings)
    return asyncio.run(_serve(config, reload))


async def _serve(config: Config, reload: Callable[[], Config]) -> int:
    settings = config.settings
    stop, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    async with AsyncExitStack() as stack:
        gateway = await _unless(stop, stack.enter_async_context(started(config)))
        if gateway is None:
            _logger.info("Stopped while starting")
            return EXIT_STOPPED
        app = make_app(gateway, config)
        runner = GatewayRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.server_port, backlog=BACKLOG)
            try:
                await site.start()
            except OSError as problem:
                _say(f"Cannot listen on {settings.host}:{settings.server_port}: {problem.strerror}.")
                return EXIT_NO_ADDRESS
            _say(f"Listening on {_address(runner)}")
            background = [asyncio.create_task(_take_keys(gateway, hangup, reload))]
            if settings.monitoring_enabled:
                background.append(asyncio.create_task(watch_health(gateway)))
            try:
                await stop.wait()
                _logger.info("Stopping", grace_seconds=settings.shutdown_grace)
                gateway.stopping = True
                await app[LIFECYCLE].drain(settings.shutdown_grace)
            finally:
                for task in background:
                    task.cancel()
                await asyncio.gather(*background, return_exceptions=True)
        finally:
            await runner.cleanup()
    _logger.info("Stopped")
    return EXIT_STOPPED


async def _unless(stop: asyncio.Event, starting: Coroutine[Any, Any, T]) -> T | None:
    """Await a start, or give it up and return None when a stop is asked for."""
    start, stopped = asyncio.ensure_future(starting), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({start, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return start.result() if start.done() else None
    finally:
        for task in (start, stopped):
            task.cancel()
        await asyncio.gather(start, stopped, return_exceptions=True)


@asynccontextmanager
async def started(config: Config) -> AsyncGenerator[Gateway, None]:
    """Discover the providers, check everything, print what was found, and open the store.

    Raises:
        ConfigError: As for `serve`.
        StorageError: As for `serve`.
    """
    clients = ClientFactory(UpstreamLimits.from_settings(config.settings))
    await clients.start()
    try:
        try:
            registry = await discover(config, clients.client)
        except ConfigError as error:
            raise ConfigError([*error.problems, *check(config, None).problems]) from None
        found = check(config, registry)
        for line in found.lines:
            _say(line)
        for warning in found.warnings:
            _logger.warning(warning)
        if found.problems:
            raise ConfigError(found.problems)
        store = open_store(config.settings, redact=REDACTOR.redact)
        gateway = Gateway(config, registry, store, Metrics())
        await gateway.start()
        try:
            yield gateway
        finally:
            await gateway.close()
    finally:
        await clients.close()


async def _take_keys(gateway: Gateway, hangup: asyncio.Event, reload: Callable[[], Config]) -> None:
    """Take new keys of the providers whenever the process is told to."""
    while True:
        await hangup.wait()
        hangup.clear()
        try:
            fresh = gateway.registry.fresh_keys(await asyncio.to_thread(reload))
        except ConfigError as error:
            _logger.error("Keys not reloaded", problems=list(error.problems))  # noqa: TRY400 - the traceback says no more
        else:
            _use_keys(fresh, gateway.config)


def _use_keys(fresh: FreshRegistry, config: Config) -> None:
    """Check fresh keys as at the start, print what was found, and give the providers those that may be used."""
    for line in check(config, fresh).lines:
        _say(line)
    if fresh.problems:
        _logger.error("Keys not reloaded", problems=list(fresh.problems))
    strict = config.settings.production and config.settings.key_check == "strict"
    for name, keys in fresh.providers.items():
        if keys.flaws and strict:
            _logger.error("Keys not reloaded; the old ones stay", provider=name, problems=list(keys.flaws))
            continue
        if keys.flaws:
            _logger.warning("Keys reloaded that are not well-formed", provider=name, problems=list(keys.flaws))
        keys.use()
    _logger.info("Keys reloaded")


def _address(runner: web.AppRunner) -> str:
    host, port, *_ = runner.addresses[0]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _say(line: str) -> None:
    with suppress(BrokenPipeError):
        print(line, flush=True)

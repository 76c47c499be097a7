"""Runs the gateway as a process: from the configuration to the exit code."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import structlog
from aiohttp import web

from orchestrator_core.config import Config, load
from orchestrator_core.plugins import Registry
from orchestrator_core.plugins.loading import FoundPlugin
from orchestrator_core.security.countries import Countries
from orchestrator_core.server.app import COUNTRIES, make_app
from orchestrator_core.server.garbage import spare_the_collector
from orchestrator_core.server.keys import take_keys
from orchestrator_core.server.leaving import to_the_end
from orchestrator_core.server.lifecycle import LIFECYCLE
from orchestrator_core.server.listening import GatewayRunner
from orchestrator_core.server.load import LOAD
from orchestrator_core.server.loop_watch import watch_loop
from orchestrator_core.server.purge import purge_again_and_again
from orchestrator_core.server.recent import RECENT
from orchestrator_core.server.signals import Signals, hold_back, say, stop_held_back
from orchestrator_core.server.starting import started
from orchestrator_core.server.watch import watch_figures, watch_health
from orchestrator_core.telemetry import logging
from orchestrator_core.telemetry.export import exported
from orchestrator_core.telemetry.metrics import Metrics

EXIT_STOPPED = 0
EXIT_NO_ADDRESS = 1
BACKLOG = 1024
"""Connections that the system may keep until they are accepted."""

T = TypeVar("T")

_logger = structlog.get_logger(__name__)


def serve(config: Config, reload: Callable[[], Config] = load) -> int:
    """Serve until SIGTERM or SIGINT, with as many processes as the settings say.

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
    if config.settings.workers == 1:
        return asyncio.run(to_the_end(_serve(config, reload)))
    prepared = asyncio.run(_prepare(config))
    if isinstance(prepared, int):
        return prepared
    registry, bound, address = prepared
    # Here, because one process does without gunicorn, which need not be installed.
    from orchestrator_core.server.workers import supervise  # noqa: PLC0415

    return supervise(
        config, registry, bound, reload, lambda: say(f"Listening on {address} with {config.settings.workers} workers")
    )


async def _serve(config: Config, reload: Callable[[], Config]) -> int:
    signals = Signals()

    async def listen(runner: web.AppRunner) -> None:
        site = web.TCPSite(runner, config.settings.host, config.settings.server_port, backlog=BACKLOG)
        await site.start()
        say(f"Listening on {_address(runner.addresses[0])}")

    with signals.heard():
        return await serve_until_stopped(config, signals, listen, reload)


async def serve_until_stopped(
    config: Config,
    signals: Signals,
    listen: Callable[[web.AppRunner], Awaitable[None]],
    reload: Callable[[], Config],
    metrics: Metrics | None = None,
    *,
    alone: bool = True,
    place: tuple[Path, int] | None = None,
    countries: Countries | None = None,
    found: Sequence[FoundPlugin] | None = None,
) -> int:
    """Start a gateway, serve until told to stop, and drain.

    Args:
        config: The configuration.
        signals: What the process is told.
        listen: Starts to listen; raises OSError where it cannot.
        reload: Reads the configuration again.
        metrics: What counts; metrics of this process alone where None.
        alone: Whether no other process accepts connections at the same address. One that is alone says to those who
            come while it drains that it is stopping; one of several leaves them to the others, or the address to
            whoever starts the gateway again.
        place: Of one of several: the folder in which all of them keep what they show together, and its place in it.
        countries: What knows the countries of addresses, where that was read already.
        found: The installed plugins, where all was checked already; else it is now, and what is found is printed.

    Returns:
        The exit code of the process.

    Raises:
        ConfigError: As for `serve`.
        StorageError: As for `serve`.
    """
    settings = config.settings
    async with AsyncExitStack() as stack:
        lines = stack.enter_context(logging.written_aside())
        metrics = metrics or Metrics()
        await stack.enter_async_context(exported(settings, metrics))
        gateway = await _unless(signals.stop.wait(), stack.enter_async_context(started(config, metrics, found=found)))
        if gateway is None:
            _logger.info("Stopped while starting")
            return EXIT_STOPPED
        app = make_app(gateway, config, countries)
        if settings.monitoring_enabled and place is not None:
            await app[RECENT].share(*place)
        runner = GatewayRunner(app)
        await runner.setup()
        try:
            try:
                await listen(runner)
            except OSError as problem:
                return _cannot_listen(config, problem)
            metrics.serving.set(1)
            spare_the_collector()
            background = [
                asyncio.create_task(take_keys(gateway, signals, reload, app.get(COUNTRIES))),
                asyncio.create_task(purge_again_and_again(gateway)),
                asyncio.create_task(app[LOAD].watch()),
                asyncio.create_task(watch_figures(gateway)),
            ]
            if settings.monitoring_enabled:
                background.append(asyncio.create_task(watch_health(gateway)))
                background.append(asyncio.create_task(watch_loop(gateway.metrics, lines)))
                background.append(asyncio.create_task(app[RECENT].watch(gateway.metrics)))
            try:
                await signals.stop.wait()
                _logger.info("Stopping", grace_seconds=settings.shutdown_grace)
                gateway.stopping = True
                if not alone:
                    metrics.serving.set(0)
                    for site in list(runner.sites):
                        await site.stop()
                await app[LIFECYCLE].drain(settings.shutdown_grace)
            finally:
                for task in background:
                    task.cancel()
                await asyncio.gather(*background, return_exceptions=True)
        finally:
            await runner.cleanup()
    _logger.info("Stopped")
    return EXIT_STOPPED


async def _prepare(config: Config) -> tuple[Registry, Sequence[socket.socket], str] | int:
    """Check everything and bind the address, for workers that are to share it. Signals are left to the master.

    Returns:
        The providers, the sockets and the address, or an exit code.
    """
    hold_back()
    registry = await _unless(stop_held_back(), _try_out(config))
    if registry is None:
        _logger.info("Stopped while starting")
        return EXIT_STOPPED
    settings = config.settings
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            asyncio.Protocol, settings.host, settings.server_port, backlog=BACKLOG, start_serving=False
        )
    except OSError as problem:
        return _cannot_listen(config, problem)
    bound = [found.dup() for found in server.sockets]
    server.close()
    for found in bound:
        found.listen(BACKLOG)
    return registry, bound, _address(bound[0].getsockname())


async def _try_out(config: Config) -> Registry:
    """Start a gateway that never serves: what is wrong is said once, and an empty database gets its schema once."""
    async with started(config) as gateway:
        return gateway.registry


async def _unless(stop: Coroutine[Any, Any, object], starting: Coroutine[Any, Any, T]) -> T | None:
    """Await a start, or give it up and return None when a stop is asked for."""
    start, stopped = asyncio.ensure_future(starting), asyncio.ensure_future(stop)
    try:
        await asyncio.wait({start, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return start.result() if start.done() else None
    finally:
        for task in (start, stopped):
            task.cancel()
        await asyncio.gather(start, stopped, return_exceptions=True)


def _cannot_listen(config: Config, problem: OSError) -> int:
    say(f"Cannot listen on {config.settings.host}:{config.settings.server_port}: {problem.strerror}.")
    return EXIT_NO_ADDRESS


def _address(found: Sequence[Any]) -> str:
    host, port, *_ = found
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

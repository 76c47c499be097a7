"""One of several processes that serve one address: a whole gateway, which gunicorn's master starts and watches."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from orchestrator_core.config import ConfigError
from orchestrator_core.provider_api import StorageError
from orchestrator_core.server.leaving import to_the_end
from orchestrator_core.server.run import BACKLOG, EXIT_STOPPED, serve_until_stopped
from orchestrator_core.server.signals import QUIET_HANGUP, Signals
from orchestrator_core.telemetry import logging
from orchestrator_core.telemetry.metrics import Metrics
from orchestrator_core.telemetry.shared_values import share_values, write_what_had_no_room

if TYPE_CHECKING:
    from orchestrator_core.server.workers import Supervised

EXIT_FAILED = 1

RETRY_DELAYS = (1.0, 2.0, 5.0, 10.0)
"""Seconds before each further try of a new worker to start; the last one again and again."""

_HEARTBEAT = 0.2
"""Seconds between two signs of life; less than a new master needs until it binds the address of one that died."""

_logger = structlog.get_logger(__name__)


class GatewayWorker(Worker):
    """One of the processes that serve.

    Attributes:
        place: Its place among the workers; one that replaces another has the place of that.
    """

    app: Supervised
    place = 0

    def load_wsgi(self) -> None:
        """Load nothing: `run` makes the gateway."""

    def init_signals(self) -> None:
        """Forget what the master does at signals; the event loop hears most of them."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGABRT, self.handle_abort)

    def handle_abort(self, sig: int, frame: Any) -> None:  # noqa: ARG002 - gunicorn's signature
        """End at once: the master has not heard of this process for too long. Where it hangs is said first."""
        faulthandler.dump_traceback()
        os._exit(EXIT_FAILED)

    def run(self) -> None:
        """Serve, and end the process."""
        logging.configure(self.app.config.settings, worker=self.place)
        raise SystemExit(asyncio.run(to_the_end(self._serve())))

    async def _serve(self) -> int:
        signals = Signals()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGQUIT, signals.stop.set)
        loop.add_signal_handler(QUIET_HANGUP, lambda: signals.hang_up(aloud=False))
        with signals.heard():
            heart = asyncio.create_task(self._beat(signals))
            try:
                return await self._serve_when_possible(signals)
            finally:
                heart.cancel()
                await asyncio.gather(heart, return_exceptions=True)

    async def _serve_when_possible(self, signals: Signals) -> int:
        """Serve as soon as there is what a gateway needs: the master saw it, so that it is away for a while only."""
        listening = asyncio.Event()

        async def listen(runner: web.AppRunner) -> None:
            for found in self.sockets:
                own = socket.socket(fileno=found.detach())  # gunicorn's are wrapped
                await web.SockSite(runner, own, backlog=BACKLOG).start()
            listening.set()

        metrics: Metrics | None = None
        tries = 0
        while not signals.stop.is_set():
            try:
                metrics = metrics or self._metrics()
                return await serve_until_stopped(
                    self.app.config,
                    signals,
                    listen,
                    self.app.read_again,
                    metrics,
                    alone=False,
                    place=(self.app.folder, self.place),
                    countries=self.app.countries,
                    found=self.app.registry.found,
                )
            except (ConfigError, StorageError) as error:
                if listening.is_set():
                    raise
                reasons = error.problems if isinstance(error, ConfigError) else [error.message]
                _logger.error("The worker cannot start yet", reasons=list(reasons))  # noqa: TRY400 - the traceback says no more
            except RuntimeError:  # such as where no thread is to be had
                if listening.is_set():
                    raise
                _logger.exception("The worker cannot start yet")
            except Exception:
                if listening.is_set():
                    raise
                _logger.exception("The worker cannot start")
                return Arbiter.APP_LOAD_ERROR
            await _wait(signals.stop, RETRY_DELAYS[min(tries, len(RETRY_DELAYS) - 1)])
            tries += 1
        return EXIT_STOPPED

    def _metrics(self) -> Metrics:
        """Make the metrics, whose values lie in files.

        Raises:
            ConfigError: There can be none.
        """
        try:
            share_values(self.app.folder, self.place)
            return Metrics(began=self.app.began, shared=self.app.folder, wanted=lambda: self.app.wanted)
        except OSError as error:
            raise no_place_for_metrics(self.app.folder, error) from None

    async def _beat(self, signals: Signals) -> None:
        """Tell the master again and again that the event loop runs; stop when there is no master any more."""
        shown = True
        while True:
            self.notify()
            write_what_had_no_room()
            if shown and not self.app.folder.exists():
                shown = False
                _logger.error(
                    "The folder of the metrics was removed: figures are missing from them until this worker is "
                    "replaced, as at SIGTERM to its process",
                    folder=str(self.app.folder),
                )
            if os.getppid() != self.ppid and not signals.stop.is_set():
                _logger.error("The master is gone")
                signals.stop.set()
            await asyncio.sleep(min(_HEARTBEAT, self.timeout))


def no_place_for_metrics(folder: str | Path, error: OSError) -> ConfigError:
    """Return the error that says that the workers' metrics cannot be kept."""
    reason = error.strerror or type(error).__name__
    return ConfigError([f"The metrics cannot be kept in {folder}: {reason}. See to it, or to TMPDIR."])


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but no longer than until a stop is asked for."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass

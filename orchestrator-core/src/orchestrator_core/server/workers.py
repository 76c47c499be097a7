"""Several processes that serve one address: gunicorn's master keeps them alive, and each is a whole gateway.

The master has checked the configuration and bound the address before the first worker is there. It serves nothing
itself; what it does beyond gunicorn is that SIGHUP takes new keys in place of new workers.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from mmap import PAGESIZE, mmap
from pathlib import Path
from typing import Any

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from orchestrator_core.config import Config
from orchestrator_core.plugins import Registry
from orchestrator_core.plugins.fresh_keys import FreshRegistry
from orchestrator_core.plugins.loading import Isolated
from orchestrator_core.security.countries import Countries
from orchestrator_core.server.keys import keep_keys, read_countries, read_keys
from orchestrator_core.server.run import EXIT_STOPPED
from orchestrator_core.server.signals import QUIET_HANGUP, WATCHED, hold_back, let_through
from orchestrator_core.server.worker import EXIT_FAILED, GatewayWorker, no_place_for_metrics
from orchestrator_core.telemetry.shared_values import forget_living, make_folder

CLOSING_TIME = 20.0
"""Seconds beyond the grace period that a worker has for cancelled requests and for the store, before it is killed."""

_MOMENT = 1.0
"""Seconds after SIGHUP for which the master waits for new keys and does nothing else; mostly they are there at once."""

_READINGS = 3
"""How often as long as a reading may take it takes to read the configuration, the keys, and the file of countries."""

_MEMORY = Path("/dev/shm")  # noqa: S108 - gunicorn makes a file of a random name there, and unlinks it at once

_logger = structlog.get_logger(__name__)


def supervise(
    config: Config,
    registry: Registry,
    sockets: Sequence[socket.socket],
    reload: Callable[[], Config],
    ready: Callable[[], None],
) -> int:
    """Run workers until SIGTERM or SIGINT. In a worker this does not return, but ends with `SystemExit`.

    Args:
        config: The configuration, checked.
        registry: The providers that were made with it; they judge new keys and are not called.
        sockets: What to listen on, bound.
        reload: Reads the configuration again, for the providers' keys, on SIGHUP.
        ready: Called when signals are acted upon, as those that were held back are then.

    Returns:
        The exit code of the process.

    Raises:
        ConfigError: There is no place for the workers' metrics.
    """
    master = os.getpid()
    try:
        folder = make_folder()
    except OSError as error:
        raise no_place_for_metrics(tempfile.gettempdir(), error) from None
    try:
        _Master(Supervised(config, registry, sockets, reload, folder, ready)).run()
    except SystemExit as end:
        if os.getpid() != master:
            raise
        return EXIT_STOPPED if end.code == 0 else EXIT_FAILED
    finally:
        if os.getpid() == master:
            hold_back()  # none may end a process that has stopped
            shutil.rmtree(folder, ignore_errors=True)
    return EXIT_STOPPED


class Supervised(BaseApplication):
    """What gunicorn runs.

    Attributes:
        config: The configuration, with the keys that the workers have now.
        registry: The providers, to judge new keys.
        read_again: Reads the configuration again.
        countries: What knows the countries of addresses, where a file does.
        folder: Where the workers keep the values of their metrics.
        ready: Called when signals are acted upon.
        began: When the gateway began, in monotonic seconds.
    """

    def __init__(
        self,
        config: Config,
        registry: Registry,
        sockets: Sequence[socket.socket],
        reload: Callable[[], Config],
        folder: Path,
        ready: Callable[[], None],
    ) -> None:
        self.config = config
        self.registry = registry
        self._sockets = sockets
        self.read_again = reload
        self.countries = Countries.from_settings(config.settings)
        self.folder = folder
        self.ready = ready
        self.began = time.monotonic()
        self._shared = memoryview(mmap(-1, PAGESIZE)).cast("i")  # of no file: /dev/shm need not be writable
        self.wanted = config.settings.workers
        super().__init__()

    @property
    def wanted(self) -> int:
        """How many workers there are to be; the master sets it, and workers read it."""
        return self._shared[0]

    @wanted.setter
    def wanted(self, number: int) -> None:
        """Set it, for all processes."""
        self._shared[0] = number

    def read(self) -> FreshRegistry:
        """Return the keys as they are now, and take what is new of countries; each worker says what is wrong there."""
        if self.countries is not None:
            read_countries(self.config, self.countries)
        return read_keys(self.config, self.registry, self.read_again)

    def load_config(self) -> None:
        """Set what gunicorn has to know."""
        settings = self.config.settings
        for name, value in {
            "bind": [f"fd://{found.detach()}" for found in self._sockets],
            "workers": settings.workers,
            "worker_class": GatewayWorker,
            "logger_class": _Log,
            "timeout": max(1, round(settings.worker_timeout)),
            "graceful_timeout": round(settings.shutdown_grace + CLOSING_TIME),
            "worker_tmp_dir": str(_MEMORY) if os.access(_MEMORY, os.W_OK) else None,
            "control_socket_disable": True,
            "when_ready": _ready,
            "pre_fork": _place,
            "child_exit": _ended,
            "nworkers_changed": _wanted,
        }.items():
            self.cfg.set(name, value)


class _Log(Logger):
    """Gunicorn's log, which becomes part of ours; what it says of its own start is left out."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in list(self.error_log.handlers):
            self.error_log.removeHandler(handler)
        self.error_log.propagate = True
        self.error_log.setLevel("WARNING")


class _Master(Arbiter):
    """Gunicorn's master."""

    app: Supervised
    reading: Isolated[FreshRegistry] | None = None

    def init_signals(self) -> None:
        """Act on signals, and on those that were held back."""
        super().init_signals()
        let_through()

    def spawn_worker(self) -> int:
        """Start a worker; what it is told before it can hear is kept for it."""
        self._keep_keys()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def spawn_workers(self) -> None:
        """Start the workers that are missing; what the system does not allow now is tried again in a second."""
        try:
            super().spawn_workers()
        except OSError as error:  # gunicorn would end all workers for it
            _logger.error("No worker can be started now", reason=error.strerror or type(error).__name__)  # noqa: TRY400 - likewise

    def handle_hup(self) -> None:
        """Let every worker take new keys, and those that come later have them; one of them prints what it finds."""
        self._keep_keys(0)
        try:
            self.reading = Isolated(self.app.read, "reading new keys").start()
        except RuntimeError:
            _logger.exception("Workers that start later have the old keys, since no thread is to be had")
        self._keep_keys(_MOMENT)
        for number, pid in enumerate(list(self.WORKERS)):
            self.kill_worker(pid, QUIET_HANGUP if number else signal.SIGHUP)

    def _keep_keys(self, within: float | None = None) -> None:
        """Have for workers that come later the keys that are being read.

        Args:
            within: Seconds after the signal in which they are waited for; None is as long as their reading may take.
        """
        if self.reading is None:
            return
        limit = _READINGS * self.app.config.settings.plugin_load_timeout
        read = self.reading.wait(limit if within is None else within)
        if within is not None and not read.ended:
            return
        self.reading = None
        problems = [read.fault] if read.result is None else list(read.result.problems)
        if problems:
            _logger.error("Workers that start later have the old keys", problems=problems)
        if read.result is not None:
            keep_keys(self.app.config, read.result)

    def handle_int(self) -> None:
        """Stop as at SIGTERM."""
        self.handle_term()

    def handle_quit(self) -> None:
        """Stop as at SIGTERM."""
        self.handle_term()

    def handle_usr2(self) -> None:
        """Do nothing: gunicorn would start a second master, which knows nothing of what this one was given."""


def _ready(master: _Master) -> None:
    """Tell that signals are acted upon, and that nothing is missing but the workers."""
    master.app.ready()


def _place(master: Arbiter, worker: GatewayWorker) -> None:
    """Give a worker the lowest place that is free."""
    taken = {other.place for other in master.WORKERS.values() if isinstance(other, GatewayWorker)}
    worker.place = next(place for place in range(len(taken) + 1) if place not in taken)


def _ended(master: _Master, worker: GatewayWorker) -> None:
    """Forget what a worker had under way when it ended."""
    try:
        forget_living(master.app.folder, worker.place)
    except OSError as error:  # gunicorn would end all workers for it
        _logger.error(  # noqa: TRY400 - the traceback says no more
            "What an ended worker had under way stays in the metrics: its files cannot be removed",
            folder=str(master.app.folder),
            reason=error.strerror or type(error).__name__,
        )


def _wanted(master: _Master, number: int, before: int | None) -> None:  # noqa: ARG001 - gunicorn's signature
    """Tell the workers how many of them there are to be."""
    master.app.wanted = number

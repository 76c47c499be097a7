"""The live view of `orchestrator status`."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from rich.live import Live

from orchestrator_core.cli.asking import NoAnswer, running_gateway, url_of
from orchestrator_core.cli.gateway_status import report
from orchestrator_core.cli.looks import Look, Watcher
from orchestrator_core.cli.output import terminal
from orchestrator_core.cli.status_view import draw
from orchestrator_core.config.settings import Settings

KEPT = 30
"""Looks whose rate is drawn; the figures are taken over them too."""


class LiveStatus:
    """Looks again and again, and draws what it found on the terminal's second screen."""

    def __init__(self, interval: float) -> None:
        """Prepare a view.

        Args:
            interval: Seconds between two looks.
        """
        self._interval = interval
        self._looks: deque[Look] = deque(maxlen=KEPT)
        self._rates: deque[float] = deque(maxlen=KEPT)
        self._report: dict[str, Any] | None = None
        self._problem: str | None = None
        self._console = terminal()

    @property
    def status(self) -> str:
        """How the gateway was at the last look."""
        return "unhealthy" if self._report is None or self._problem else str(self._report["status"])

    async def run(self, settings: Settings, url: str | None) -> None:
        """Show the view until it is cancelled.

        Args:
            settings: The gateway's address, where no other is named, and the credential to send.
            url: Where the gateway runs; None is this machine.

        Raises:
            NoAnswer: The first look failed. Later ones are tried again.
        """
        async with running_gateway(url or url_of(settings), settings.client_key) as gateway:
            watcher = Watcher(gateway)
            self._take(gateway.url, await watcher.look())
            with Live(self._drawn(), console=self._console, screen=True, auto_refresh=False) as live:
                while True:
                    await asyncio.sleep(self._interval)
                    try:
                        self._take(gateway.url, await watcher.look())
                    except NoAnswer as error:
                        self._problem = error.message
                    live.update(self._drawn(), refresh=True)

    def leave(self) -> None:
        """Print what was seen last, which the second screen took with it."""
        if self._report is not None:
            self._console.print(draw(self._report, self._rates, self._problem))

    def _take(self, url: str, look: Look) -> None:
        self._problem = None
        last = self._looks[-1] if self._looks else None
        if last is not None:
            newest = report(url, look, last)
            if "traffic" in newest:
                self._rates.append(newest["traffic"]["per_second"])
        self._looks.append(look)
        self._report = report(url, look, self._looks[0] if last is not None else None)

    def _drawn(self) -> Any:
        assert self._report is not None  # noqa: S101 - the view begins with a look
        every = f"Every {self._interval:g} s. Ctrl+C ends."
        return draw(self._report, self._rates, f"{self._problem} {every}" if self._problem else every)

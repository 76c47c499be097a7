"""The live view of `orchestrator status`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from rich.live import Live

from orchestrator_core.cli.asking import AskedTooOften, NoAnswer, running_gateway, url_of
from orchestrator_core.cli.gateway_status import report
from orchestrator_core.cli.looks import Watcher
from orchestrator_core.cli.output import terminal
from orchestrator_core.cli.status_view import draw
from orchestrator_core.config.settings import Settings


class LiveStatus:
    """Looks again and again, and draws what it found on the terminal's second screen."""

    def __init__(self, interval: float) -> None:
        """Prepare a view.

        Args:
            interval: Seconds between two looks.
        """
        self._interval = interval
        self._report: dict[str, Any] | None = None
        self._problem: NoAnswer | None = None
        self._console = terminal()

    @property
    def status(self) -> str:
        """How the gateway was at the last look."""
        return "unhealthy" if self._report is None or self._away else str(self._report["status"])

    @property
    def _away(self) -> bool:
        return self._problem is not None and not isinstance(self._problem, AskedTooOften)

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
            self._report = report(gateway.url, await watcher.look())
            with Live(self._drawn(), console=self._console, screen=True, auto_refresh=False) as live:
                while True:
                    asked = self._problem.wait if isinstance(self._problem, AskedTooOften) else 0.0
                    await asyncio.sleep(max(self._interval, asked))
                    try:
                        self._report = report(gateway.url, await watcher.look())
                        self._problem = None
                    except NoAnswer as error:
                        self._problem = error
                    live.update(self._drawn(), refresh=True)

    def leave(self) -> bool:
        """Print what was seen last, which the second screen took with it; return whether there was anything."""
        if self._report is None:
            return False
        self._console.print(draw(self._seen(self._report), self._problem.message if self._problem else None))
        return True

    def _seen(self, report: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**report, "status": "no answer"} if self._away else report

    def _drawn(self) -> Any:
        assert self._report is not None  # noqa: S101 - the view begins with a look
        every = f"Every {self._interval:g} s. Ctrl+C ends."
        return draw(self._seen(self._report), f"{self._problem.message} {every}" if self._problem else every)

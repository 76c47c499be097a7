"""What standard error shows while a person waits: something that moves, or a line now and then where no terminal is."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from orchestrator_core.cli.output import terminal

if TYPE_CHECKING:
    from rich.status import Status

Result = TypeVar("Result")

REPORT_EVERY = 5.0
"""Seconds between two lines where standard error is no terminal."""


class Spinner:
    """Says what is waited for, on a terminal alone, until it is over."""

    def __init__(self, text: str) -> None:
        """Prepare a spinner.

        Args:
            text: What is waited for.
        """
        self._text = text
        self._status: Status | None = None

    def __enter__(self) -> Self:
        """Show it."""
        if sys.stderr.isatty():
            self._status = terminal(stderr=True).status(f"[dim]{self._text} ...", spinner_style="cyan")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it away."""
        self.stop()

    def say(self, text: str) -> None:
        """Say something else, where it is still shown."""
        if self._status is not None:
            self._status.update(f"[dim]{text} ...")

    def stop(self) -> None:
        """Take it away; does nothing after the first time."""
        if self._status is not None:
            self._status.stop()
            self._status = None


async def reported(work: Coroutine[Any, Any, Result], text: str) -> Result:
    """Do what may take long, and say that it goes on.

    Args:
        work: What is to be done.
        text: What it is.
    """
    begun = time.monotonic()
    task = asyncio.create_task(work)
    try:
        with Spinner(text) as spinner:
            while not (await asyncio.wait([task], timeout=REPORT_EVERY))[0]:
                spent = f"after {time.monotonic() - begun:.0f} seconds"
                if sys.stderr.isatty():
                    spinner.say(f"{text}, still at work {spent}")
                else:
                    click.echo(f"Still at work {spent} ...", err=True)
    finally:
        task.cancel()
        await asyncio.wait([task])
    return await task

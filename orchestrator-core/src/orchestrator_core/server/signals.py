"""What a process is told by signals, and what it prints."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Final

QUIET_HANGUP = signal.SIGUSR2
"""What the master of several workers sends to all but one of them at SIGHUP, so that one alone prints."""

STOPS: Final = (signal.SIGTERM, signal.SIGINT)
HANGUPS: Final = (signal.SIGHUP, QUIET_HANGUP)
WATCHED: Final = (*STOPS, signal.SIGQUIT, *HANGUPS)
EARLY: Final = (signal.SIGTERM, *HANGUPS)
"""What waits from the first moment on, in which the configuration is read: a hangup asks for keys that may have been
read before, and SIGTERM would end the process without order, or, where it is the first of a container, not at all."""

_LOOK: Final = 0.05
"""Seconds between two looks for a stop that is held back."""


class Signals:
    """What the running process was told.

    Attributes:
        stop: Set when it is to end.
        hangup: Set when it is to take new keys.
        aloud: Whether it is to print what it finds of them.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hangup = asyncio.Event()
        self.aloud = True

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Act on signals, and on those that were held back, in place of what they do by default.

        Afterwards none does anything any more: the process, which is about to end by itself, ends as it was told.
        """
        loop = asyncio.get_running_loop()
        for ending in STOPS:
            loop.add_signal_handler(ending, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.hang_up)
        let_through()
        try:
            yield
        finally:
            hold_back()

    def hang_up(self, *, aloud: bool = True) -> None:
        """Tell the process to take new keys."""
        self.aloud = aloud
        self.hangup.set()


def hold_back(numbers: Collection[signal.Signals] = WATCHED) -> None:
    """Let signals wait, in this thread and those that it begins, until somebody can act on them.

    A handler would not do: event loops take theirs away when they close.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def let_through() -> None:
    """Have what was held back, and what comes, acted upon."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)


async def stop_held_back() -> None:
    """Wait until a stop is among what is held back."""
    while signal.sigpending().isdisjoint(STOPS):  # noqa: ASYNC110 - what waits in the system sets no event
        await asyncio.sleep(_LOOK)


def say(line: str) -> None:
    """Print a line, if anybody still reads, and there is room where it is kept."""
    with suppress(OSError):
        print(line, flush=True)

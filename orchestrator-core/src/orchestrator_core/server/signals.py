"""What a process is told by signals, and what it prints."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

QUIET_HANGUP = signal.SIGUSR2
"""What the master of several workers sends to all but one of them at SIGHUP, so that one alone prints."""

WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, QUIET_HANGUP)


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

    def hear(self) -> None:
        """Act on signals from now on, in place of what they do to a process by default."""
        loop = asyncio.get_running_loop()
        for ending in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(ending, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.hang_up)

    def hang_up(self, *, aloud: bool = True) -> None:
        """Tell the process to take new keys."""
        self.aloud = aloud
        self.hangup.set()


def say(line: str) -> None:
    """Print a line, if anybody still reads."""
    with suppress(BrokenPipeError):
        print(line, flush=True)

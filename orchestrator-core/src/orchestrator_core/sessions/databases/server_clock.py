"""The time of a database server, which all processes that use it share, whatever their own clocks say."""

from __future__ import annotations

import time

from orchestrator_core.sessions.steps import Steps, rows

_MICROSECOND = 1000
"""Nanoseconds."""


class ServerClock:
    """Tells the server's time without asking it: what it said last, and what has passed since by a steady clock.

    Attributes:
        ahead: Nanoseconds that the server's time is ahead of this process's monotonic clock. Until it was asked, the
            process's own time stands for the server's.
    """

    def __init__(self) -> None:
        self.ahead = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        """Return the time in microseconds since the epoch."""
        return (time.monotonic_ns() + self.ahead) // _MICROSECOND


def read_ahead() -> Steps[int]:
    """Ask the server for `ServerClock.ahead`, right to within half of the time that the question took."""
    asked = time.monotonic_ns()
    ((told,),) = yield from rows("SELECT now_micros()")
    answered = time.monotonic_ns()
    ahead: int = told * _MICROSECOND - (asked + answered) // 2
    return ahead

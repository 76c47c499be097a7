"""How long a call may take: one absolute end, and the waits inside it."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time limits of one call. All times are seconds; `at` is on the monotonic clock.

    Attributes:
        at: When the whole request must have ended, as `time.monotonic()` tells it.
        connect: How long connecting to the upstream may take.
        first_event: How long the first event of a streamed call may take. A call that is not streamed
            has only `at`.
        idle: How long a stream may be silent between two events. Comments and pings count as events here.
    """

    at: float
    connect: float = 5.0
    first_event: float = 120.0
    idle: float = 30.0

    @classmethod
    def after(cls, seconds: float, *, connect: float = 5.0, first_event: float = 120.0, idle: float = 30.0) -> Deadline:
        """Return a deadline that ends `seconds` from now."""
        return cls(time.monotonic() + seconds, connect, first_event, idle)

    def remaining(self) -> float:
        """Return the seconds that are left, never below zero."""
        return max(0.0, self.at - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether nothing is left."""
        return time.monotonic() >= self.at

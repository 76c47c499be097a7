"""How many retries all calls together may have: in an outage they must not become a load of their own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

RETRIES_PER_CALL: Final = 0.1
"""What a call adds to the budget: retries are at most a tenth of all calls."""

MOST: Final = 10.0
"""The most that is saved, so that long health does not pay for a storm."""

FREE_EVERY: Final = 1.0
"""Seconds after which one retry is free: a gateway with few calls may retry too."""


class RetryBudget:
    """A token bucket that calls fill and retries empty; one retry a second is free. Used on the event loop only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin empty, with the free retry.

        Args:
            clock: Monotonic seconds.
        """
        self._clock = clock
        self._saved = 0.0
        self._free_at = -math.inf

    def earn(self) -> None:
        """Count a call that is no retry."""
        self._saved = min(self._saved + RETRIES_PER_CALL, MOST)

    def spend(self) -> bool:
        """Return whether a retry is allowed, and count it where it is."""
        now = self._clock()
        if now >= self._free_at:
            self._free_at = now + FREE_EVERY
            return True
        if self._saved < 1:
            return False
        self._saved -= 1
        return True

    def give_back(self) -> None:
        """Let the next retry be free, in place of one that was not made: it is not saved for a later one."""
        self._free_at = -math.inf

"""Which sessions are left alone for a while, because their last summary failed."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

FIRST_PAUSE = 30.0
"""Seconds after the first failure; each further one doubles it."""

LONGEST_PAUSE = 900.0
"""Seconds."""

_KEPT = 10_000


class SummaryBackoff:
    """Counts failures of sessions; those that failed last are remembered."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Know of no failure.

        Args:
            clock: Monotonic seconds.
        """
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def holds(self, session_id: str) -> bool:
        """Whether a session is to be left alone."""
        return self._failures.get(session_id, (0, 0.0))[1] > self._clock()

    def failed(self, session_id: str) -> None:
        """Note that a summary failed."""
        count = self._failures.pop(session_id, (0, 0.0))[0]
        pause = min(FIRST_PAUSE * 2 ** min(count, 30), LONGEST_PAUSE)
        self._failures[session_id] = (count + 1, self._clock() + pause)
        if len(self._failures) > _KEPT:
            self._failures.popitem(last=False)

    def forget(self, session_id: str) -> None:
        """Note that a summary was made."""
        self._failures.pop(session_id, None)

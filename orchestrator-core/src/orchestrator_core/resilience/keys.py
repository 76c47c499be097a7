"""Chooses among the server's keys of one provider."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from orchestrator_core.provider_api import Secret

EXHAUSTED_FOR = 300.0
"""Seconds for which a key without quota is passed over while another one is usable."""


class KeyRing:
    """Remembers which keys have no quota left."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with every key usable.

        Args:
            clock: Monotonic seconds.
        """
        self._clock = clock
        self._exhausted: dict[Secret, float] = {}

    def choose(self, keys: Sequence[Secret]) -> Secret | None:
        """Return the first key that has quota, the first of all where none has, or None where there is no key."""
        now = self._clock()
        self._exhausted = {key: until for key, until in self._exhausted.items() if until > now}
        return next((key for key in keys if key not in self._exhausted), keys[0] if keys else None)

    def exhausted(self, key: Secret) -> None:
        """Note that a key has no quota."""
        self._exhausted[key] = self._clock() + EXHAUSTED_FOR

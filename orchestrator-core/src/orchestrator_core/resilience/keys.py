"""Chooses among the server's keys of one provider."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from orchestrator_core.provider_api import Secret

REST: Final = 300.0
"""Seconds for which a key without quota, or one that was refused, is passed over; the most for one that was limited."""

LIMITED_REST: Final = 5.0
"""Seconds for which a key is passed over whose limit is reached, where the provider does not say how long that is."""


class KeyRing:
    """Remembers which keys are to rest. Used on the event loop only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with every key usable.

        Args:
            clock: Monotonic seconds.
        """
        self._clock = clock
        self._resting: dict[Secret, float] = {}

    def choose(self, keys: Sequence[Secret]) -> Secret | None:
        """Return the first key that does not rest, or the one whose rest ends first; None where there is no key."""
        if not self._resting:
            return keys[0] if keys else None
        now = self._clock()
        self._resting = {key: until for key, until in self._resting.items() if until > now}
        return min(keys, key=lambda key: self._resting.get(key, 0.0), default=None)

    def another(self, keys: Sequence[Secret]) -> bool:
        """Whether one of these keys does not rest."""
        now = self._clock()
        return any(self._resting.get(key, 0.0) <= now for key in keys)

    def rest(self, key: Secret, seconds: float) -> bool:
        """Let a key rest, for `REST` at most.

        Returns:
            Whether it did not rest already.
        """
        now = self._clock()
        awake = self._resting.get(key, 0.0) <= now
        self._resting[key] = now + min(seconds, REST)
        return awake

    def forget(self, keys: Sequence[Secret]) -> None:
        """Forget what is known of keys: they were configured anew."""
        for key in keys:
            self._resting.pop(key, None)

    def __len__(self) -> int:
        """Return how many keys rest."""
        return len(self._resting)

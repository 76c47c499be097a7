"""How many requests a client, and a session, may make in a minute."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import RateLimited

WINDOW: Final = 60.0
"""Seconds."""

MAX_KEYS: Final = 10_000
"""Clients or sessions that are remembered; above it the one that was silent for the longest time is forgotten."""


class SlidingWindow:
    """Admits so many requests in any 60 seconds, exactly: there is no edge between minutes to make use of.

    Memory is bounded by `MAX_KEYS` times the limit. Used on the event loop only.
    """

    def __init__(self, what: str, limit: int | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Make a limiter.

        Args:
            what: Whose limit it is, for the message: `client`, `session`.
            limit: Requests a minute; None admits everything.
            clock: Monotonic seconds.
        """
        self._what = what
        self._limit = limit
        self._clock = clock
        self._admitted: OrderedDict[str, deque[float]] = OrderedDict()

    def admit(self, key: str, limit: int | None = None) -> None:
        """Count a request, or refuse it; one that is refused does not count.

        Args:
            key: Whose request it is.
            limit: A limit of its own in place of the configured one.

        Raises:
            RateLimited: The limit is reached; `retry_after` says when the next request is admitted.
        """
        limit = self._limit if limit is None else limit
        if limit is None:
            return
        now = self._clock()
        times = self._admitted.setdefault(key, deque())
        self._admitted.move_to_end(key)
        while times and times[0] <= now - WINDOW:
            times.popleft()
        if len(times) >= limit:
            wait = times[-limit] + WINDOW - now if limit > 0 else WINDOW
            raise RateLimited(
                f"The limit of {limit} requests a minute for each {self._what} is reached. "
                f"Come again in {math.ceil(wait)} seconds.",
                retry_after=wait,
            )
        times.append(now)
        self._forget(now)

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._admitted)

    def _forget(self, now: float) -> None:
        while self._admitted:
            times = next(iter(self._admitted.values()))
            if len(self._admitted) <= MAX_KEYS and times and times[-1] > now - WINDOW:
                return
            self._admitted.popitem(last=False)


class RequestLimits:
    """The limits of the gateway."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Make the limits that the settings ask for.

        Args:
            settings: Without limits in development, unless they are set.
            clock: Monotonic seconds.
        """
        self._clients = SlidingWindow("client", settings.client_limit, clock=clock)
        self._sessions = SlidingWindow("session", settings.session_limit, clock=clock)

    def admit_client(self, client: str, limit: int | None = None) -> None:
        """Count a request of a client, by the id of its principal.

        Raises:
            RateLimited: The limit of the client is reached.
        """
        self._clients.admit(client, limit)

    def admit_session(self, tenant: str, session_id: str) -> None:
        """Count a turn of a session.

        Raises:
            RateLimited: The limit of the session is reached.
        """
        self._sessions.admit(f"{tenant}/{session_id}")

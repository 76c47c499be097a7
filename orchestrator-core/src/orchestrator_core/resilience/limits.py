"""How many requests a client, and a session, may make in a minute: of this process, or of all that share a Redis."""

from __future__ import annotations

import hashlib
import math
import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import RateLimited
from orchestrator_core.resilience.shared_state import SharedState, SharedStateLost

WINDOW: Final = 60.0
"""Seconds."""

MAX_KEYS: Final = 10_000
"""Clients or sessions that are remembered; above it the one that was silent for the longest time is forgotten."""

MAX_MOMENTS: Final = 600
"""Moments that are remembered of each. Where its limit is higher, requests that come within `WINDOW / MAX_MOMENTS`
seconds count as if all had come at the last of them."""


# KEYS: the times of the requests admitted, oldest first. ARGV: limit, window in microseconds. Returns the microseconds
# until the next one is admitted, 0 where this one is, how many the window holds, and the microseconds until the oldest
# of them leaves it. The time is Redis' own, so that the machines' clocks do not matter; where it was set back, no time
# counts as later than now, and a list from another age is forgotten.
_ADMIT: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local newest = tonumber(redis.call('LINDEX', KEYS[1], -1) or 0)
if newest > now + window then
  redis.call('DEL', KEYS[1])
elseif newest > now then
  now = newest
end
local oldest = redis.call('LINDEX', KEYS[1], 0)
while oldest and tonumber(oldest) <= now - window do
  redis.call('LPOP', KEYS[1])
  oldest = redis.call('LINDEX', KEYS[1], 0)
end
local first = redis.call('LINDEX', KEYS[1], -limit)
if first then
  return {first + window - now, limit, first + window - now}
end
redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
return {0, redis.call('LLEN', KEYS[1]), (oldest or now) + window - now}
"""


class Quota(NamedTuple):
    """How a limit stands after a request.

    Attributes:
        scope: Whose limit it is: `client`, `session`.
        limit: Requests in a window.
        remaining: How many more are admitted now.
        reset: Seconds until the oldest request leaves the window, and so one more is admitted.
    """

    scope: str
    limit: int
    remaining: int
    reset: float


class _Admitted:
    """When requests were admitted, oldest first.

    Attributes:
        total: How many.
    """

    __slots__ = ("_begun", "_counts", "_times", "total")

    def __init__(self) -> None:
        self.total = 0
        self._times = array("d")
        self._counts = array("L")
        self._begun = -math.inf  # the first request of the last moment

    @property
    def oldest(self) -> float:
        """The time of the oldest."""
        return self._times[0]

    @property
    def newest(self) -> float:
        """The time of the newest; before all time where there is none."""
        return self._times[-1] if self.total else -math.inf

    def add(self, now: float, within: float) -> None:
        """Add one.

        Args:
            now: Its time; the last moment becomes that if it has begun at most `within` seconds before.
            within: Seconds.
        """
        self.total += 1
        if now - self._begun <= within:
            self._times[-1] = now
            self._counts[-1] += 1
        else:
            self._times.append(now)
            self._counts.append(1)
            self._begun = now

    def forget(self, until: float) -> None:
        """Forget those of this time and before."""
        gone = bisect_right(self._times, until)
        if gone:
            self.total -= sum(self._counts[:gone])
            del self._times[:gone], self._counts[:gone]

    def last_to_leave(self, limit: int) -> float:
        """Return the time of the last that has to leave the window so that fewer than `limit`, at least 1, are left."""
        left, moment = self.total - self._counts[0], 0
        while left >= limit:
            moment += 1
            left -= self._counts[moment]
        return self._times[moment]


class SlidingWindow:
    """Admits so many requests in any 60 seconds, and never more: there is no edge between minutes to make use of.

    Memory is bounded by `MAX_KEYS` times `MAX_MOMENTS`, whatever the limit; with one above `MAX_MOMENTS` a request may
    have to wait for up to `WINDOW / MAX_MOMENTS` seconds longer. Used on the event loop only.
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
        self._admitted: OrderedDict[str, _Admitted] = OrderedDict()

    def admit(self, key: str, limit: int | None = None) -> Quota | None:
        """Count a request, or refuse it; one that is refused does not count.

        Args:
            key: Whose request it is.
            limit: A limit of its own in place of the configured one.

        Returns:
            What is left of the limit; None where there is none.

        Raises:
            RateLimited: The limit is reached; `retry_after` says when the next request is admitted.
        """
        limit = self._limit if limit is None else limit
        if limit is None:
            return None
        now = self._clock()
        admitted = self._admitted.get(key)
        if admitted is None:
            admitted = self._admitted[key] = _Admitted()
        self._admitted.move_to_end(key)
        admitted.forget(now - WINDOW)
        if admitted.total >= limit:
            raise _reached(self._what, limit, admitted.last_to_leave(limit) + WINDOW - now if limit > 0 else WINDOW)
        admitted.add(now, WINDOW / MAX_MOMENTS if limit > MAX_MOMENTS else 0.0)
        self._forget(now)
        return Quota(self._what, limit, limit - admitted.total, admitted.oldest + WINDOW - now)

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._admitted)

    def _forget(self, now: float) -> None:
        while self._admitted:
            admitted = next(iter(self._admitted.values()))
            if len(self._admitted) <= MAX_KEYS and admitted.newest > now - WINDOW:
                return
            self._admitted.popitem(last=False)


class RequestLimit:
    """A limit of requests a minute, of this process or of all that share a Redis, whatever their clocks say.

    Redis keeps a list of at most `limit` times for each key, for a minute after the last of them. While Redis is away,
    each process admits its part of the limit by a window of its own, so that all together stay within it; what one of
    the two has admitted, the other does not know.
    """

    def __init__(
        self, what: str, limit: int | None, shared: SharedState | None, processes: int, clock: Callable[[], float]
    ) -> None:
        """Make a limit.

        Args:
            what: Whose limit it is, for the message: `client`, `session`.
            limit: Requests a minute; None admits everything.
            shared: Where all processes count together; None counts in this one.
            processes: How many share the limit.
            clock: Monotonic seconds.
        """
        self._what = what
        self._limit = limit
        self._shared = shared
        self._processes = processes
        self._local = SlidingWindow(what, limit, clock=clock)

    async def admit(self, key: str, limit: int | None = None) -> Quota | None:
        """Count a request, or refuse it; one that is refused does not count.

        Args:
            key: Whose request it is. Redis is given a hash of it.
            limit: A limit of its own in place of the configured one.

        Returns:
            What is left of the limit; None where there is none.

        Raises:
            RateLimited: The limit is reached; `retry_after` says when the next request is admitted.
        """
        limit = self._limit if limit is None else limit
        if self._shared is None or not limit:
            return self._local.admit(key, limit)
        name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        try:
            wait, held, reset = await self._shared.evaluate(
                _ADMIT, [f"orchestrator:requests:{self._what}:{name}"], [limit, int(WINDOW * 1e6)]
            )
        except SharedStateLost:
            return self._local.admit(key, max(1, limit // self._processes))
        if wait:
            raise _reached(self._what, limit, wait / 1e6)
        return Quota(self._what, limit, limit - held, reset / 1e6)


def _reached(what: str, limit: int, wait: float) -> RateLimited:
    return RateLimited(
        f"The limit of {limit} requests a minute for each {what} is reached. Come again in {math.ceil(wait)} seconds.",
        retry_after=wait,
        details={"scope": what, "limit": limit, "window_seconds": int(WINDOW)},
    )


def quota_of(error: RateLimited) -> Quota | None:
    """Return how the limit stands that refused a request; None where the error is not of this module."""
    match error.details:
        case {"scope": str() as scope, "limit": int() as limit}:
            return Quota(scope, limit, 0, error.retry_after or 0.0)
    return None


class RequestLimits:
    """The limits of the gateway."""

    def __init__(
        self, settings: Settings, shared: SharedState | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make the limits that the settings ask for.

        Args:
            settings: Without limits in development, unless they are set.
            shared: Where all processes count together; None counts in this one.
            clock: Monotonic seconds.
        """
        processes = settings.expected_processes
        self._clients = RequestLimit("client", settings.client_limit, shared, processes, clock)
        self._sessions = RequestLimit("session", settings.session_limit, shared, processes, clock)

    def admit_client(self, client: str, limit: int | None = None) -> Coroutine[Any, Any, Quota | None]:
        """Count a request of a client, by the id of its principal; see `RequestLimit.admit`.

        Raises:
            RateLimited: The limit of the client is reached.
        """
        return self._clients.admit(client, limit)

    def admit_session(
        self, tenant: str, session_id: str, limit: int | None = None
    ) -> Coroutine[Any, Any, Quota | None]:
        """Count a turn of a session; see `RequestLimit.admit`.

        Raises:
            RateLimited: The limit of the session is reached.
        """
        return self._sessions.admit(f"{tenant}/{session_id}", limit)

"""How many calls are under way at a time, to each provider and in all, and who waits for a place.

Those who wait are served fairly: the tenants of a provider in turn, the calls of a tenant in the order in which they
came. Where many wait, the newest call of whoever has most of them gives way to one of somebody with fewer.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Self

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import Overloaded

Refusal = Literal["full", "waited", "gave_way"]
"""Why a call got no place: no wait would have been short enough; it waited in vain; another tenant's came before it."""

_NEWEST: Final = 0.1
"""The share of the newest call in the mean of how long places are held."""

_HOPE: Final = 0.5
"""The share of the longest wait within which a place must be expected for a call to wait for it at all."""

_SHORTEST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
"""Bounds of the seconds that a refused client is told to stay away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much there may be.

    Attributes:
        calls: Calls to one provider at a time.
        total: Calls to all providers at a time.
        waiting: Calls that wait for one provider.
        wait: The longest that a call waits, in seconds.
    """

    calls: int
    total: int
    waiting: int
    wait: float

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take the bounds from the operator's settings."""
        return cls(
            calls=settings.max_calls_in_flight,
            total=settings.max_calls_in_total,
            waiting=settings.max_calls_waiting,
            wait=settings.max_call_wait,
        )


class Place:
    """The place of a call that is under way."""

    __slots__ = ("_admission", "begun", "lane")

    def __init__(self, admission: Admission, lane: _Lane, begun: float) -> None:
        """Hold a place.

        Args:
            admission: Gets it back.
            lane: The calls that it is among.
            begun: Since when, by the clock of the admission.
        """
        self._admission: Admission | None = admission
        self.lane = lane
        self.begun = begun

    def leave(self) -> None:
        """Give the place back. Does nothing the second time."""
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.take_back(self)


_Waiter = asyncio.Future[Place | None]
"""Gets a place, or None where it has to give way."""


class _Lane:
    """The calls to one provider."""

    __slots__ = ("held", "queues", "taken", "waiting")

    def __init__(self) -> None:
        self.taken = 0
        self.waiting = 0
        self.held: float | None = None
        self.queues: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    def join(self, tenant: str, waiter: _Waiter) -> None:
        self.queues.setdefault(tenant, deque()).append(waiter)
        self.waiting += 1

    def quit(self, tenant: str, waiter: _Waiter) -> None:
        """Take out a waiter, if it is still there."""
        queue = self.queues.get(tenant)
        if queue is None or waiter not in queue:
            return
        queue.remove(waiter)
        self.waiting -= 1
        if not queue:
            del self.queues[tenant]

    def next(self) -> _Waiter:
        """Take out the first waiter of the tenant whose turn it is."""
        tenant, queue = self.queues.popitem(last=False)
        waiter = queue.popleft()
        self.waiting -= 1
        if queue:
            self.queues[tenant] = queue
        return waiter

    def turn(self, tenant: str) -> int:
        """Return the place in the queue of a call that a tenant makes now: the tenants are served in turn."""
        own = len(self.queues.get(tenant, ())) + 1
        return own + sum(min(len(queue), own) for name, queue in self.queues.items() if name != tenant)

    def newest_of_most(self, tenant: str) -> _Waiter | None:
        """Take out the newest waiter of whoever has most; None where that would be this tenant's own gain or loss."""
        most = max(self.queues, key=lambda name: len(self.queues[name]))
        if len(self.queues[most]) <= len(self.queues.get(tenant, ())) + 1:
            return None
        self.waiting -= 1
        return self.queues[most].pop()


class Admission:
    """Gives places to calls. Used on the event loop only; without a queue it costs a look-up and no task."""

    def __init__(
        self,
        bounds: Bounds,
        on_wait: Callable[[str, int], None],
        on_refusal: Callable[[str, Refusal], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with every place free.

        Args:
            bounds: How much there may be.
            on_wait: Told the provider and 1 where a call begins to wait, -1 where it ends to.
            on_refusal: Told the provider and the reason where a call that might have waited is refused.
            clock: Monotonic seconds.
        """
        self._bounds = bounds
        self._on_wait = on_wait
        self._on_refusal = on_refusal
        self._clock = clock
        self._taken = 0
        self._lanes: dict[str, _Lane] = {}
        self._queued: OrderedDict[str, _Lane] = OrderedDict()

    def taken(self, provider: str | None = None) -> int:
        """Return how many places are taken, of one provider or in all."""
        if provider is None:
            return self._taken
        return self._lanes[provider].taken if provider in self._lanes else 0

    def waiting(self, provider: str) -> int:
        """Return how many calls wait for a provider."""
        return self._lanes[provider].waiting if provider in self._lanes else 0

    def take(self, provider: str) -> Place | None:
        """Return a place for a call, where one is free and nobody waits for it; give it back when the call has ended.

        Args:
            provider: Who is to be called.
        """
        lane = self._lanes.get(provider)
        if lane is None:
            lane = self._lanes[provider] = _Lane()
        bounds = self._bounds
        if lane.taken < bounds.calls and self._taken < bounds.total and not lane.waiting:
            return self._give(lane)
        return None

    async def enter(self, provider: str, tenant: str, wait: float) -> Place:
        """Return a place for a call as `take` does, and wait for it where none is free.

        Args:
            provider: Who is to be called.
            tenant: For whom.
            wait: The longest to wait, in seconds, if the bounds do not say less; 0 where somebody else can be asked.

        Raises:
            Overloaded: There is none, nor would there be one in time.
        """
        place = self.take(provider)
        if place is not None:
            return place
        lane = self._lanes[provider]
        if wait <= 0:
            raise self._overloaded(lane)
        return await self._wait(provider, lane, tenant, min(wait, self._bounds.wait))

    def take_back(self, place: Place) -> None:
        """Make a place free again, and note how long it was held; see `Place.leave`."""
        lane, held = place.lane, self._clock() - place.begun
        lane.held = held if lane.held is None else lane.held + (held - lane.held) * _NEWEST
        lane.taken -= 1
        self._taken -= 1
        if self._queued:
            self._serve()

    async def _wait(self, provider: str, lane: _Lane, tenant: str, seconds: float) -> Place:
        if self._expected(lane, lane.turn(tenant)) > seconds * _HOPE or not self._make_room(lane, tenant):
            self._on_refusal(provider, "full")
            raise self._overloaded(lane)
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        lane.join(tenant, waiter)
        self._queued.setdefault(provider, lane)
        self._on_wait(provider, 1)
        try:
            async with asyncio.timeout(seconds):
                place = await waiter
        except TimeoutError:
            place = self._late_place(provider, lane, tenant, waiter)
            if place is None:
                self._on_refusal(provider, "waited")
                raise self._overloaded(lane) from None
        except asyncio.CancelledError:
            place = self._late_place(provider, lane, tenant, waiter)
            if place is not None:
                place.leave()
            raise
        finally:
            self._on_wait(provider, -1)
        if place is None:
            self._on_refusal(provider, "gave_way")
            raise self._overloaded(lane)
        return place

    def _make_room(self, lane: _Lane, tenant: str) -> bool:
        """Whether one more may wait; where the queue is full, somebody who has much of it may have to give way.

        It is full where as many wait as may, and where one more would make the last of them wait too long.
        """
        bounds = self._bounds
        if lane.waiting < bounds.waiting and self._expected(lane, lane.waiting + 1) <= bounds.wait * _HOPE:
            return True
        displaced = lane.newest_of_most(tenant) if lane.waiting else None
        if displaced is None:
            return False
        if not displaced.done():
            displaced.set_result(None)
        return True

    def _late_place(self, provider: str, lane: _Lane, tenant: str, waiter: _Waiter) -> Place | None:
        """Return the place that came in the moment in which the wait ended; where none did, leave the queue."""
        if not waiter.cancelled():
            return waiter.result()
        lane.quit(tenant, waiter)
        if not lane.waiting:
            self._queued.pop(provider, None)
        return None

    def _give(self, lane: _Lane) -> Place:
        lane.taken += 1
        self._taken += 1
        return Place(self, lane, self._clock())

    def _serve(self) -> None:
        """Give free places to those who wait, the providers in turn."""
        bounds = self._bounds
        while self._taken < bounds.total:
            provider = next((name for name, lane in self._queued.items() if lane.taken < bounds.calls), None)
            if provider is None:
                return
            lane = self._queued.pop(provider)
            waiter = lane.next()
            if lane.waiting:
                self._queued[provider] = lane
            if not waiter.done():
                waiter.set_result(self._give(lane))

    def _expected(self, lane: _Lane, turn: int) -> float:
        """Return the seconds until so many of those who wait are served, by how long places were held of late."""
        return (lane.held or 0.0) * turn / min(self._bounds.calls, self._bounds.total)

    def _overloaded(self, lane: _Lane) -> Overloaded:
        full = lane.taken >= self._bounds.calls or self._taken < self._bounds.total
        which = f"{self._bounds.calls} places for calls to this provider" if full else f"{self._bounds.total} places"
        pause = min(max(self._expected(lane, lane.waiting + 1), _SHORTEST_PAUSE), _LONGEST_PAUSE)
        return Overloaded(f"All {which} are taken. Try again shortly.", retry_after=pause)

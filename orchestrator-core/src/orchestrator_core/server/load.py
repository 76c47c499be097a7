"""What the process has taken on: requests, bytes of their bodies, time of its event loop. Above it refuses more."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from aiohttp import web

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import Overloaded

LOOK_EVERY: Final = 0.1
"""Seconds between two looks at the event loop."""

LATE_LOOKS: Final = 3
"""Looks in a row that find the loop late before anything is refused: one alone may be a single slow step."""

STEP: Final = 0.1
"""What a look that finds the loop late by the bound adds to the share of requests to refuse; by twice the bound, twice
as much. One that finds it well below takes off half a step."""

MOST_STEPS: Final = 4
"""The most that one look adds: where the loop is that late, there are few looks."""

MOST_REFUSED: Final = 0.95
"""The largest share, so that some requests still show whether it is over."""

RETRY_AFTER: Final = 1.0
"""Seconds that a refused client is told to stay away."""


class Load:
    """Refuses requests above the bounds before anything is read of their bodies. Used on the event loop only.

    Attributes:
        requests: Requests under way.
        held: Bytes of their bodies.
    """

    def __init__(self, settings: Settings, draw: Callable[[], float] = random.random) -> None:
        """Begin without any load.

        Args:
            settings: The bounds.
            draw: Gives numbers from 0 to 1; a request is refused where one is below the share to refuse.
        """
        self.requests = 0
        self.held = 0
        self._most_requests = settings.max_requests_in_flight
        self._most_held = max(settings.max_request_bytes_in_flight, settings.max_request_bytes)
        self._latest = settings.max_loop_lag
        self._draw = draw
        self._late = 0
        self._refused = 0.0

    def take(self) -> Burden:
        """Take a request on, until what is returned is closed.

        Raises:
            Overloaded: It is too much.
        """
        if self.requests >= self._most_requests:
            raise _overloaded("The gateway has as many requests under way as it takes.")
        if self._refused and self._draw() < self._refused:
            raise _overloaded("The gateway has more to do than its processor can.")
        self.requests += 1
        return Burden(self)

    def hold(self, size: int) -> None:
        """Count bytes that are held.

        Raises:
            Overloaded: They are too many.
        """
        if self.held + size > self._most_held:
            raise _overloaded("The gateway holds as many bytes of requests as it takes.")
        self.held += size

    async def watch(self) -> None:
        """Look at the event loop again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_EVERY
            await asyncio.sleep(LOOK_EVERY)
            self.look(loop.time() - due)

    def look(self, late: float) -> None:
        """Take into account by how many seconds the event loop was late.

        The share to refuse grows while it is late, and shrinks once it is well below the bound: so it settles where the
        loop just keeps up, in place of going up and down between all and nothing.
        """
        self._late = self._late + 1 if late > self._latest else 0
        if self._late >= LATE_LOOKS:
            self._refused = min(self._refused + STEP * min(late / self._latest, MOST_STEPS), MOST_REFUSED)
        elif late < self._latest / 2:
            self._refused = max(self._refused - STEP / 2, 0.0)


class Burden:
    """What one request is of the load, until it is closed."""

    __slots__ = ("_held", "_load")

    def __init__(self, load: Load) -> None:
        self._load = load
        self._held = 0

    def hold(self, size: int) -> None:
        """Hold bytes until the request ends.

        Raises:
            Overloaded: They are too many.
        """
        self._load.hold(size)
        self._held += size

    def close(self) -> None:
        """Give it back, once."""
        self._load.requests -= 1
        self._load.held -= self._held


LOAD: Final = web.AppKey("orchestrator.load", Load)


def _overloaded(what: str) -> Overloaded:
    return Overloaded(f"{what} Try again shortly.", retry_after=RETRY_AFTER)

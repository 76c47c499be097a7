"""Ends what lasts too long, with one timer for all: nearly everything is over long before, and would cancel its own."""

from __future__ import annotations

import asyncio
from functools import cached_property
from types import TracebackType
from typing import Protocol

BETWEEN = 0.005
"""Seconds between two looks, at least: each goes over all that is under way."""


class Timed(Protocol):
    """What has a time at which it must be over.

    Attributes:
        until: That time, as the event loop tells it.
    """

    until: float

    def expire(self) -> None:
        """Learn that the time has come."""
        ...


class Waits:
    """What is under way in one event loop."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._under_way: set[Timed] = set()
        self._timer: asyncio.TimerHandle | None = None

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop. asyncio asks the system for the process's number whenever it is asked which one runs."""
        return asyncio.get_running_loop()

    def within(self, seconds: float) -> Wait:
        """Return a context that may last so many seconds from now, as that of `asyncio.timeout`."""
        return Wait(self, self.loop.time() + seconds)

    def begin(self, timed: Timed) -> None:
        """Look after something, until `end` is called or its time has come."""
        self._under_way.add(timed)
        if self._timer is None or timed.until < self._timer.when():
            self._look_at(timed.until)

    def end(self, timed: Timed) -> None:
        """Look after it no more, if at all."""
        self._under_way.discard(timed)

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(when, self._look, when)

    def _look(self, when: float) -> None:
        self._timer = None
        now = max(when, self.loop.time())  # the loop may be late
        try:
            for timed in [timed for timed in self._under_way if timed.until <= now]:
                self._under_way.discard(timed)
                timed.expire()
        finally:
            if self._under_way:
                self._look_at(max(min(timed.until for timed in self._under_way), now + BETWEEN))


class Wait:
    """A wait of the running task; where it is not over in time it raises `TimeoutError`.

    Attributes:
        until: When it must be over, in the loop's time.
    """

    __slots__ = ("_cancelling", "_expired", "_task", "_waits", "until")

    def __init__(self, waits: Waits, until: float) -> None:
        """Prepare a wait, see `Waits.within`."""
        self.until = until
        self._waits = waits
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task(self._waits.loop)
        if task is None:
            raise RuntimeError("only a task can be ended")
        self._task = task
        self._cancelling = task.cancelling()
        self._waits.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._waits.end(self)
        # Who else has cancelled the task meanwhile wants it to end.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """End it: its time is over."""
        self._expired = True
        self._task.cancel()

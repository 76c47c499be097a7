"""Ends waits that last too long, all with one timer: each is over long before, and would cancel one of its own."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Waits:
    """Waits of one event loop.

    Attributes:
        loop: The loop; asyncio asks the system for the process's number whenever it is asked which one runs.
    """

    __slots__ = ("_timer", "_under_way", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin without a wait."""
        self.loop = loop
        self._under_way: set[Wait] = set()
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> Wait:
        """Return a context that may last so many seconds from now, as that of `asyncio.timeout`."""
        return Wait(self, self.loop.time() + seconds)

    def begin(self, wait: Wait) -> None:
        """Look after a wait."""
        self._under_way.add(wait)
        if self._timer is None or wait.until < self._timer.when():
            self._look_at(wait.until)

    def end(self, wait: Wait) -> None:
        """Look after a wait no more."""
        self._under_way.discard(wait)

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(when, self._look, when)

    def _look(self, now: float) -> None:
        self._timer = None
        for wait in [wait for wait in self._under_way if wait.until <= now]:
            self._under_way.remove(wait)
            wait.expire()
        if self._under_way:
            self._look_at(min(wait.until for wait in self._under_way))


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

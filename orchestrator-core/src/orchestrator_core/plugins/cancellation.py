"""Awaits a plugin's code, and leaves it behind where it does not let itself be cancelled.

`asyncio` cancels a task once and then waits for it, for ever where the code in it goes on as if nothing had been. Here
it is cancelled again a few times, and then thrown out of the task: whoever waits gets its own cancellation, in bounded
time. So it is where that code waits for a task of its own which goes on: `asyncio` would tell that task alone.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any, Final, TypeVar

AGAIN_AFTER: Final = 1.0
"""Seconds after which code that was cancelled and goes on is cancelled again: what cleans up has as long."""

MOST: Final = 3
"""Cancellations after which it is left behind."""

_PLAIN: Final = asyncio.Future
"""What ends as soon as it is cancelled. Tasks, and what gathers them, end when the code in them does."""

T = TypeVar("T")


@types.coroutine
def cancellable(  # noqa: PLR0912 - one loop, whose steps depend on each other; each call less is faster
    awaited: Awaitable[T], on_left: Callable[[], None]
) -> Generator[Any, None, T]:
    """Await something of a plugin, so that a cancellation ends it for certain.

    No task is made for it, and nothing is done before the first cancellation.

    Args:
        awaited: What to await: a coroutine, or a step of an async generator.
        on_left: Told where it is left behind.

    Raises:
        asyncio.CancelledError: The running task was cancelled, whatever the plugin made of it.
    """
    steps: Any = awaited.__await__()
    value: T
    try:
        waited_for = steps.send(None)
    except StopIteration as end:
        value = end.value
        return value
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("plugins are awaited in tasks")
    before = task.cancelling()
    reminder: _Reminder | None = None
    error: BaseException | None
    try:
        while True:
            within = waited_for if type(waited_for) is not _PLAIN and asyncio.isfuture(waited_for) else None
            try:
                if within is None:
                    yield waited_for
                else:
                    yield from _end_of(within)
            except asyncio.CancelledError as cancelled:
                error = cancelled
                reminder = reminder or _Reminder(task, before, cancelled)
                if reminder.heard() >= MOST:
                    _throw_out(steps)
                    on_left()
                    raise
                if within is not None and within.cancel():
                    reminder.renew()
                    continue  # it says itself how it ended
            except BaseException as raised:  # noqa: BLE001 - the plugin's own: what it waits for failed, or it is closed
                error = raised
            else:
                error = None
            try:
                waited_for = steps.send(None) if error is None else steps.throw(error)
            except (StopIteration, StopAsyncIteration) as end:
                if reminder is not None and reminder.stands:
                    # It was cancelled before, and should not have gone on to its end.
                    raise reminder.error from None
                if isinstance(end, StopAsyncIteration):
                    raise
                value = end.value
                return value
            if reminder is not None:
                reminder.renew()
    finally:
        if reminder is not None:
            reminder.stop()


def _throw_out(steps: Any) -> None:
    with suppress(BaseException):  # whatever it says to that, nobody listens any more
        steps.throw(GeneratorExit())


def _end_of(within: asyncio.Future[Any]) -> Generator[Any, None, None]:
    """Wait until a task, or several, have ended, without cancelling them where the running task is cancelled."""
    ended = asyncio.get_running_loop().create_future()

    def wake(_: asyncio.Future[Any]) -> None:
        if not ended.done():
            ended.set_result(None)

    within.add_done_callback(wake)
    try:
        yield from ended
    finally:
        within.remove_done_callback(wake)


class _Reminder:
    """Cancels a task again, as long as what cancelled it stands.

    Attributes:
        error: What the first cancellation raised.
    """

    def __init__(self, task: asyncio.Task[Any], before: int, error: asyncio.CancelledError) -> None:
        self.error = error
        self._task = task
        self._before = before
        self._timer: asyncio.TimerHandle | None = None
        self._own = False
        self._times = 1

    @property
    def stands(self) -> bool:
        """Whether the task is to end: what the plugin cancels for a time limit of its own, it takes back."""
        return self._task.cancelling() > self._before

    def renew(self) -> None:
        """Remind the task in a while, or no more."""
        if not self.stands:
            self.stop()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(AGAIN_AFTER, self._cancel)

    def heard(self) -> int:
        """Note that the task heard a cancellation; return how many it heard, those of others counted once."""
        if self._own:
            self._own = False
            self._times += 1
            self._task.uncancel()
        return self._times

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cancel(self) -> None:
        self._timer = None
        self._own = True
        self._task.cancel()

"""One turn at a time for each session, with a bounded wait."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeVar

from orchestrator_core.provider_api import SessionBusy

T = TypeVar("T")

FIRST_POLL: Final = 0.02
LAST_POLL: Final = 0.1
"""Seconds between two looks at a session that another process holds; each wait is half as long again as the last."""


class SessionLocks(Protocol):
    """Serialises the turns of a session."""

    def hold(self, session_id: str, limit: float) -> AbstractAsyncContextManager[int | None]:
        """Hold a session's lock.

        Args:
            session_id: The session.
            limit: Seconds that are left of the request.

        Yields:
            The fencing token: greater than that of everybody who held the lock before, so that the store can refuse
            who lost the lock without knowing it. None where the lock is of this process only.

        Raises:
            SessionBusy: It was not free in time.
        """
        ...


class LocalLocks:
    """Serialises the turns of a session within this process, in the order of their arrival."""

    def __init__(self, wait: float) -> None:
        """Make locks.

        Args:
            wait: Seconds that a turn waits for the one before it.
        """
        self._wait = wait
        self._locks: dict[str, _Lock] = {}

    def hold(self, session_id: str, limit: float) -> AbstractAsyncContextManager[None]:
        """Hold a session's lock; see `SessionLocks.hold`."""
        return _Holding(self._locks, session_id, min(self._wait, limit))


async def when_free(begin: Callable[[], Awaitable[T]], wait: float) -> T:
    """Begin a turn, again and again while another process answers one of the same session.

    Args:
        begin: Asks the store, which refuses with `SessionBusy`.
        wait: Seconds until its refusal is the answer.

    Raises:
        SessionBusy: The session was not free in time.
    """
    end, delay = time.monotonic() + wait, FIRST_POLL
    while True:
        try:
            return await begin()
        except SessionBusy:
            left = end - time.monotonic()
            if left <= 0:
                raise
        # Jitter: two who were refused at once do not ask in step.
        await asyncio.sleep(min(left, delay * random.uniform(0.5, 1.0)))  # noqa: S311 - no secret
        delay = min(delay * 1.5, LAST_POLL)


def busy() -> SessionBusy:
    """Return the error of a lock that was not free in time."""
    return SessionBusy("Another turn of this session is under way: wait for its answer.", retry_after=1.0)


class _Lock:
    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class _Holding(AbstractAsyncContextManager[None]):
    """Holds the lock of a session: a class, since every turn does, and a generator takes three times as long."""

    __slots__ = ("_entry", "_locks", "_session_id", "_wait")

    def __init__(self, locks: dict[str, _Lock], session_id: str, wait: float) -> None:
        self._locks = locks
        self._session_id = session_id
        self._wait = wait
        self._entry = _Lock()

    async def __aenter__(self) -> None:
        entry = self._entry = self._locks.setdefault(self._session_id, self._entry)
        entry.users += 1
        try:
            if entry.users == 1:
                await entry.lock.acquire()  # at once
                return
            async with asyncio.timeout(self._wait):
                await entry.lock.acquire()
        except TimeoutError:
            self._leave()
            raise busy() from None
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._entry.lock.release()
        self._leave()

    def _leave(self) -> None:
        self._entry.users -= 1
        if self._entry.users == 0:
            self._locks.pop(self._session_id, None)

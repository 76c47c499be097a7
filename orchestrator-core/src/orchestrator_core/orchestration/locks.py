"""One turn at a time for each session, with a bounded wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from orchestrator_core.provider_api import SessionBusy


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

    @asynccontextmanager
    async def hold(self, session_id: str, limit: float) -> AsyncIterator[None]:
        """Hold a session's lock; see `SessionLocks.hold`."""
        entry = self._locks.setdefault(session_id, _Lock())
        entry.users += 1
        try:
            try:
                async with asyncio.timeout(min(self._wait, limit)):
                    await entry.lock.acquire()
            except TimeoutError:
                raise busy() from None
            try:
                yield
            finally:
                entry.lock.release()
        finally:
            entry.users -= 1
            if entry.users == 0:
                self._locks.pop(session_id, None)


def busy() -> SessionBusy:
    """Return the error of a lock that was not free in time."""
    return SessionBusy("Another turn of this session is under way: wait for its answer.", retry_after=1.0)


class _Lock:
    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0

"""Searches that may pass over many sessions: they keep nobody else from the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from orchestrator_core.provider_api import StorageBusy
from orchestrator_core.sessions.databases.base import Database
from orchestrator_core.sessions.errors import RETRY_AFTER
from orchestrator_core.sessions.jobs.finding import Find
from orchestrator_core.sessions.jobs.rows import SessionRow

SEARCH_WITHIN = 3.0
"""Seconds that a search may take once it has its turn, and that it may wait for those of its own tenant."""

WAIT_WITHIN = 15.0
"""Seconds that a search may wait for those of other tenants."""


class Searches:
    """Does one search after the other, in the time that each has; what is short need not wait.

    Tenants take turns: of each, one search at most waits for those of others, and its further ones wait for that.
    """

    def __init__(self, database: Database) -> None:
        """Search in a database."""
        self._database = database
        self._one = asyncio.Lock()
        self._tenants: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, find: Find) -> list[SessionRow]:
        """Find sessions.

        Raises:
            StorageBusy: It took too long, or those before it did.
        """
        if find.is_short:
            return await self._database.read(find)
        own = self._tenants.setdefault(find.tenant, asyncio.Lock())
        try:
            async with _within(own, SEARCH_WITHIN), _within(self._one, WAIT_WITHIN), asyncio.timeout(SEARCH_WITHIN):
                return await self._database.read(find)
        except TimeoutError:
            raise StorageBusy(
                "The search took too long. Ask for something that fewer sessions have, such as a user_id.",
                retry_after=RETRY_AFTER,
            ) from None


@asynccontextmanager
async def _within(lock: asyncio.Lock, seconds: float) -> AsyncIterator[None]:
    """Hold a lock that has to be had in so many seconds."""
    async with asyncio.timeout(seconds):
        await lock.acquire()
    try:
        yield
    finally:
        lock.release()

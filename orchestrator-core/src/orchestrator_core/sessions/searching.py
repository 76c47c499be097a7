"""Searches that may pass over many sessions: they keep nobody else from the database."""

from __future__ import annotations

import asyncio

from orchestrator_core.provider_api import StorageBusy
from orchestrator_core.sessions.databases.base import Database
from orchestrator_core.sessions.errors import RETRY_AFTER
from orchestrator_core.sessions.jobs.finding import Find
from orchestrator_core.sessions.jobs.rows import SessionRow

SEARCH_WITHIN = 3.0
"""Seconds that a search may take, those before it included."""


class Searches:
    """Does one search after the other, in the time that each has; what is short need not wait."""

    def __init__(self, database: Database) -> None:
        """Search in a database."""
        self._database = database
        self._one = asyncio.Lock()

    async def run(self, find: Find) -> list[SessionRow]:
        """Find sessions.

        Raises:
            StorageBusy: It took too long.
        """
        if find.is_short:
            return await self._database.read(find)
        try:
            async with asyncio.timeout(SEARCH_WITHIN), self._one:
                return await self._database.read(find)
        except TimeoutError:
            raise StorageBusy(
                "The search took too long. Ask for something that fewer sessions have, such as a user_id.",
                retry_after=RETRY_AFTER,
            ) from None

"""The keys of the clients, on any database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from orchestrator_core.sessions.clients import Client
from orchestrator_core.sessions.databases.base import Database
from orchestrator_core.sessions.jobs import clients
from orchestrator_core.sessions.jobs.rows import Redact
from orchestrator_core.sessions.models import Page


class ClientKeys:
    """Implements `ClientStore` with transactions that run on any `Database`."""

    def __init__(self, database: Database, redact: Redact) -> None:
        """Keep keys in a database that somebody else opens and closes; `redact` masks secrets in names."""
        self._database = database
        self._redact = redact

    async def create(self, client: Client) -> Client:
        """See `ClientStore.create`."""
        named = replace(client, name=self._redact(client.name))
        return await self._database.write(partial(clients.create, named))

    async def get(self, client_id: str) -> Client:
        """See `ClientStore.get`."""
        return await self._database.read(partial(clients.get, client_id))

    async def list(self, *, revoked: bool, limit: int, offset: int = 0) -> Page[Client]:
        """See `ClientStore.list`."""
        found = await self._database.read(partial(clients.page, revoked=revoked, limit=limit, offset=offset))
        return Page(found[:limit], len(found) > limit)

    async def update(self, client_id: str, change: Callable[[Client], Client]) -> Client:
        """See `ClientStore.update`."""

        def changed(client: Client) -> Client:
            after = change(client)
            return replace(after, name=self._redact(after.name))

        return await self._database.write(partial(clients.update, client_id, changed))

    async def changed(self, after: int) -> Sequence[Client]:
        """See `ClientStore.changed`."""
        return await self._database.read(partial(clients.changed, after))

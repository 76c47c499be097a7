"""The keys of the clients, as they are kept: by their public ids, and by a digest of the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from orchestrator_core.config.grants import Grant
from orchestrator_core.sessions.models import Page

MAX_CLIENTS: Final = 10_000
"""Keys that are not revoked: every process keeps them in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The key of a client.

    Attributes:
        id: The public id, a part of the key.
        name: What people call it; no two keys that are not revoked have the same.
        tenant: Whose sessions and usage it sees; it never changes.
        grant: What it may do.
        digest: SHA-256 of the whole key.
        previous_digest: That of the key before the last rotation.
        previous_until: Until when that one is taken too, UTC.
        created_at: UTC.
        expires_at: When it is not taken any more, UTC; None is never.
        revoked_at: When it was revoked, UTC.
        revision: Grows with every change of any key, so that a process may ask for what changed.
    """

    id: str
    name: str
    tenant: str
    grant: Grant
    digest: str
    previous_digest: str | None = None
    previous_until: datetime | None = None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revision: int = 0

    def usable(self, now: datetime) -> bool:
        """Whether it is taken."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class ClientStore(Protocol):
    """Keeps the keys of the clients; the errors are those of `SessionStore`."""

    async def create(self, client: Client) -> Client:
        """Keep a new key, and return it with its revision.

        Raises:
            Conflict: Another key has the name, or there are `MAX_CLIENTS` of them.
        """
        ...

    async def get(self, client_id: str) -> Client:
        """Read a key, be it revoked.

        Raises:
            NotFound: There is none.
        """
        ...

    async def list(self, *, revoked: bool, limit: int, offset: int = 0) -> Page[Client]:
        """Read a page of keys, oldest first.

        Args:
            revoked: Whether to read those too that are revoked.
            limit: How many at most.
            offset: How many to skip.
        """
        ...

    async def update(self, client_id: str, change: Callable[[Client], Client]) -> Client:
        """Change a key, and return it as it is then.

        Args:
            client_id: Which one.
            change: From the key as it is to the key as it is to be, in the transaction. It may be called again, and
                what it raises undoes everything. Id, tenant and time of creation stay.

        Raises:
            NotFound: There is none.
            Conflict: Another key has the name.
        """
        ...

    async def changed(self, after: int) -> Sequence[Client]:
        """Read the keys that were made or changed after a revision, in that order; all after 0."""
        ...

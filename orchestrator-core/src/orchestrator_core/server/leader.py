"""What is done by one of all processes that share a store, however many there are."""

from __future__ import annotations

import secrets

from orchestrator_core.sessions.store import SessionStore


class Leader:
    """One kind of work, which this process does only while it holds the lease of that name."""

    def __init__(self, store: SessionStore, name: str, seconds: float) -> None:
        """Make a candidate.

        Args:
            store: What all the processes share.
            name: The work.
            seconds: How long nobody else does it after this process last led; longer than from one `leads` to the next.
        """
        self._store = store
        self._name = name
        self._holder = secrets.token_hex(8)
        self._seconds = seconds

    async def leads(self) -> bool:
        """Return whether it is for this process to do the work now.

        Raises:
            StorageError: The store cannot be reached; nobody can know.
        """
        return await self._store.lease(self._name, self._holder, self._seconds)

    async def leave(self, finding: str) -> None:
        """Leave what was found for all others, unless somebody else leads by now.

        Raises:
            StorageError: It could not be stored.
        """
        await self._store.leave_finding(self._name, self._holder, finding)

    async def finding(self) -> str | None:
        """Return what whoever leads has left.

        Raises:
            StorageError: The store cannot be reached.
        """
        return await self._store.finding(self._name)

    async def resign(self) -> None:
        """Let another process lead at once.

        Raises:
            StorageError: The store cannot be reached; the lease ends by itself.
        """
        await self._store.release(self._name, self._holder)

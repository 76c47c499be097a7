"""What the store asks of a database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from orchestrator_core.sessions.steps import Transaction

T = TypeVar("T")

Undo = Callable[[T], Transaction[Any] | None]
"""From the result that a caller was not told: what to do then, whether or not it was committed."""

UNDO_DELAYS: Final = (0.1, 0.5, 2.0, 5.0, 15.0)
"""Seconds before each further try to undo what a caller was not told."""


class Database(Protocol):
    """Runs transactions, each whole or not at all.

    Every method that is awaited raises `StorageBusy`, `StorageFull` or `StorageError` within a bounded time, and lets
    the errors of the steps themselves through.
    """

    @property
    def process_id(self) -> str:
        """Names this process in what it writes."""
        ...

    async def open(self) -> None:
        """Make sure of the schema, and put in order what processes that ended left behind."""
        ...

    async def close(self) -> None:
        """Finish what was begun and close."""
        ...

    def now(self) -> int:
        """Return the time that all who use the database share, in microseconds since the epoch."""
        ...

    async def write(self, transaction: Transaction[T], *, undo: Undo[T] | None = None, scrub: bool = False) -> T:
        """Run a transaction; when this returns, it is durable.

        Args:
            transaction: What to do.
            undo: For a caller that goes away before it learns the result.
            scrub: Rid every file of what is deleted before this returns, as far as the database can.
        """
        ...

    def undo(self, transaction: Transaction[Any]) -> None:
        """Run a transaction in the background that undoes another one; where it fails, run it again a little later."""
        ...

    async def read(self, transaction: Transaction[T]) -> T:
        """Run a transaction that only reads, on one state of the data."""
        ...

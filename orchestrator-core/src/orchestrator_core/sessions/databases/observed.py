"""A database whose transactions are timed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias, TypeVar

from orchestrator_core.provider_api import StorageError
from orchestrator_core.sessions.databases.base import Database, Undo
from orchestrator_core.sessions.steps import Transaction

T = TypeVar("T")

Observe: TypeAlias = Callable[[Literal["read", "write"], float, str | None], None]
"""Is told of each transaction: its kind, its seconds, and the code where the database could not do it."""


class ObservedDatabase:
    """Implements `Database` with another one, and tells how long each transaction took."""

    def __init__(self, database: Database, observe: Observe) -> None:
        """Wrap a database."""
        self._database = database
        self._observe = observe

    @property
    def process_id(self) -> str:
        """See `Database.process_id`."""
        return self._database.process_id

    async def open(self) -> None:
        """See `Database.open`."""
        await self._database.open()

    async def close(self) -> None:
        """See `Database.close`."""
        await self._database.close()

    def now(self) -> int:
        """See `Database.now`."""
        return self._database.now()

    async def write(self, transaction: Transaction[T], *, undo: Undo[T] | None = None, scrub: bool = False) -> T:
        """See `Database.write`."""
        return await self._timed("write", self._database.write(transaction, undo=undo, scrub=scrub))

    def undo(self, transaction: Transaction[Any]) -> None:
        """See `Database.undo`."""
        self._database.undo(transaction)

    async def read(self, transaction: Transaction[T]) -> T:
        """See `Database.read`."""
        return await self._timed("read", self._database.read(transaction))

    async def _timed(self, kind: Literal["read", "write"], work: Awaitable[T]) -> T:
        begun, code = time.monotonic(), None
        try:
            return await work
        except StorageError as error:
            code = error.code
            raise
        finally:
            self._observe(kind, time.monotonic() - begun, code)

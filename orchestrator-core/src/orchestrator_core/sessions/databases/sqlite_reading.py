"""A SQLite file that is only read, also while a gateway serves with it."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from orchestrator_core.provider_api import StorageError
from orchestrator_core.sessions.databases.base import Undo
from orchestrator_core.sessions.databases.reader import Reader
from orchestrator_core.sessions.databases.sqlite import read
from orchestrator_core.sessions.databases.sqlite_connection import connect_reader, now_micros
from orchestrator_core.sessions.schema import HEAD, current_revision
from orchestrator_core.sessions.steps import Transaction

T = TypeVar("T")


class SqliteReadings:
    """Implements `Database` for those who only look: without the lock of the process that serves."""

    def __init__(self, path: Path, *, busy_timeout: float) -> None:
        """Make a database; `open` it.

        Args:
            path: The file.
            busy_timeout: Seconds that a call may wait for a lock.
        """
        self.process_id = ""
        self._path = path
        self._reader = Reader("sqlite-reader", partial(connect_reader, path), budget=busy_timeout)

    async def open(self) -> None:
        """See `Database.open`.

        Raises:
            StorageError: There is no such file, or it has another schema.
        """
        await check_schema(self._path)
        await self._reader.start()

    async def close(self) -> None:
        """See `Database.close`."""
        await self._reader.stop()

    def now(self) -> int:
        """See `Database.now`; one process has one clock."""
        return now_micros()

    async def write(self, transaction: Transaction[T], *, undo: Undo[T] | None = None, scrub: bool = False) -> T:  # noqa: ARG002 - nothing is written
        """Refuse.

        Raises:
            StorageError: Always.
        """
        raise StorageError("The database is opened to be read only.")

    def undo(self, transaction: Transaction[Any]) -> None:
        """Do nothing: nothing can have been written."""

    async def read(self, transaction: Transaction[T]) -> T:
        """See `Database.read`."""
        return await self._reader.run(partial(read, transaction=transaction))


async def check_schema(path: Path) -> None:
    """Make sure that a file has the schema of this version.

    Raises:
        StorageError: There is no such file, or it has another schema.
    """
    try:
        if not await asyncio.to_thread(path.exists):
            raise StorageError("There is no database yet: the gateway makes it when it starts.")
        revision = await asyncio.to_thread(current_revision, path)
    except sqlite3.Error as error:
        raise StorageError(f"The database file cannot be read: {error}.") from error
    if revision != HEAD:
        raise StorageError(
            f"The database has the schema {revision} and this version needs {HEAD}: run `orchestrator db upgrade`."
        )

"""A SQLite database in memory: for the tests of programs that call the gateway, and gone with the process."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from orchestrator_core.sessions.databases.base import Undo
from orchestrator_core.sessions.databases.sqlite import run, undoing
from orchestrator_core.sessions.databases.sqlite_connection import connect_memory, now_micros
from orchestrator_core.sessions.databases.writer import Writer
from orchestrator_core.sessions.jobs.processes import join_alone
from orchestrator_core.sessions.models import new_id
from orchestrator_core.sessions.schema import prepare
from orchestrator_core.sessions.steps import Transaction

T = TypeVar("T")


class MemoryDatabase:
    """Implements `Database` on one connection, for reads and writes."""

    def __init__(self, *, busy_timeout: float) -> None:
        """Make a database; `open` it.

        Args:
            busy_timeout: Seconds that a call may wait for the ones before it.
        """
        self.process_id = new_id("proc")
        self._empty = b""
        self._writer = Writer("memory-database", self._connect, budget=busy_timeout)

    async def open(self) -> None:
        """See `Database.open`."""
        self._empty = await _empty_database()
        await self._writer.start()
        await self.write(partial(join_alone, self.process_id))

    async def close(self) -> None:
        """See `Database.close`."""
        await self._writer.stop()

    def now(self) -> int:
        """See `Database.now`; one process has one clock."""
        return now_micros()

    async def write(self, transaction: Transaction[T], *, undo: Undo[T] | None = None, scrub: bool = False) -> T:  # noqa: ARG002 - there is no file
        """See `Database.write`."""
        return await self._writer.run(
            partial(run, transaction=transaction, add=self._writer.add), undo=None if undo is None else undoing(undo)
        )

    def undo(self, transaction: Transaction[Any]) -> None:
        """See `Database.undo`."""
        self._writer.undo(partial(run, transaction=transaction))

    async def read(self, transaction: Transaction[T]) -> T:
        """See `Database.read`."""
        return await self._writer.run(partial(run, transaction=transaction))

    def _connect(self) -> sqlite3.Connection:
        return connect_memory(self._empty)


_made: list[bytes] = []


async def _empty_database() -> bytes:
    """Return a database of the newest schema; making it takes half a second, so once for a process is enough."""
    if not _made:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "empty.db"
            await prepare(path)
            _made.append(await asyncio.to_thread(path.read_bytes))
    return _made[0]

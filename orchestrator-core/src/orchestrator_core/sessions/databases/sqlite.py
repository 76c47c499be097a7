"""One SQLite file, for one process."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from orchestrator_core.sessions.databases.base import Undo
from orchestrator_core.sessions.databases.lock import ProcessLock, WriteTurn
from orchestrator_core.sessions.databases.reader import Reader
from orchestrator_core.sessions.databases.sqlite_connection import connect_reader, connect_writer, now_micros
from orchestrator_core.sessions.databases.writer import Writer
from orchestrator_core.sessions.jobs.processes import join_alone
from orchestrator_core.sessions.models import new_id
from orchestrator_core.sessions.schema import prepare
from orchestrator_core.sessions.steps import Change, Lock, Query, Sum, Transaction

T = TypeVar("T")

_READERS = 2


class SqliteDatabase:
    """Implements `Database` on one file.

    All writes go through one thread with one connection, in groups; reads have threads of their own. The event loop
    is never blocked.
    """

    def __init__(self, path: Path, *, busy_timeout: float) -> None:
        """Make a database; `open` it.

        Args:
            path: The file; its directory exists.
            busy_timeout: Seconds that a call may wait for a lock.
        """
        self.process_id = new_id("proc")
        self._path = path
        self._busy_timeout = busy_timeout
        self._lock = ProcessLock(path)
        self._turn = WriteTurn(path)
        self.writer = Writer("sqlite-writer", partial(connect_writer, path), turn=self._turn, budget=busy_timeout)
        self.reader = Reader("sqlite-reader", partial(connect_reader, path), threads=_READERS, budget=busy_timeout)

    async def open(self) -> None:
        """See `Database.open`.

        Raises:
            StorageError: The file cannot be used, or another process uses it.
        """
        await self._lock.acquire(self._busy_timeout)
        try:
            await prepare(self._path)
            await self.writer.start()
            await self.write(partial(join_alone, self.process_id))
            await self.reader.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `Database.close`."""
        await self.reader.stop()
        await self.writer.stop()
        self._turn.close()
        self._lock.release()

    def now(self) -> int:
        """See `Database.now`; one process has one clock."""
        return now_micros()

    async def write(self, transaction: Transaction[T], *, undo: Undo[T] | None = None, scrub: bool = False) -> T:
        """See `Database.write`."""

        def job(connection: sqlite3.Connection) -> T:
            result = run(connection, transaction, self.writer.add)
            if scrub:
                self.writer.scrub()
            return result

        return await self.writer.run(job, undo=None if undo is None else undoing(undo))

    def undo(self, transaction: Transaction[Any]) -> None:
        """See `Database.undo`."""
        self.writer.undo(partial(run, transaction=transaction))

    async def read(self, transaction: Transaction[T]) -> T:
        """See `Database.read`."""
        return await self.reader.run(partial(read, transaction=transaction))


def run(connection: sqlite3.Connection, transaction: Transaction[T], add: Callable[[Sum], object] | None = None) -> T:
    """Run the steps of a transaction on a connection, which has begun one.

    Args:
        connection: The connection.
        transaction: What to do.
        add: Takes what others may add to as well before it is written; None writes it at once.
    """
    steps = transaction()
    execute = connection.execute
    rows: Any = None
    try:
        while True:
            query = steps.send(rows)
            kind, rows = type(query), ()
            if kind is Query:
                rows = execute(query.sql, query.parameters).fetchall()
            elif kind is Change:
                rows = [(execute(query.sql, query.parameters).rowcount,)]
            elif kind is Sum and add is not None:
                add(cast("Sum", query))
            elif kind is not Lock:
                execute(query.sql, query.parameters)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


def read(connection: sqlite3.Connection, transaction: Transaction[T]) -> T:
    """Run the steps of a transaction that only reads, on one state of the data."""
    connection.execute("BEGIN")
    try:
        return run(connection, transaction)
    finally:
        connection.execute("COMMIT")


def undoing(undo: Undo[T]) -> Callable[[T], Callable[[sqlite3.Connection], Any] | None]:
    """Return what undoes, as the writer takes it."""

    def follow_up(result: T) -> Callable[[sqlite3.Connection], Any] | None:
        step = undo(result)
        return None if step is None else partial(run, transaction=step)

    return follow_up

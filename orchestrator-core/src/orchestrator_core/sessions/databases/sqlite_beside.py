"""A SQLite file that a command changes, whether or not a gateway serves with it."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from orchestrator_core.provider_api import StorageError
from orchestrator_core.sessions.databases.base import Undo
from orchestrator_core.sessions.databases.lock import ProcessLock, WriteTurn
from orchestrator_core.sessions.databases.sqlite import run, undoing
from orchestrator_core.sessions.databases.sqlite_connection import connect_writer, now_micros
from orchestrator_core.sessions.databases.sqlite_reading import check_schema
from orchestrator_core.sessions.databases.writer import Writer
from orchestrator_core.sessions.errors import busy
from orchestrator_core.sessions.schema import prepare
from orchestrator_core.sessions.steps import Transaction

T = TypeVar("T")


class SqliteBeside:
    """Implements `Database` for short work: it has the turn to write from its opening to its end.

    It is no process that serves: it leaves alone what those left behind.
    """

    def __init__(self, path: Path, *, busy_timeout: float) -> None:
        """Make a database; `open` it.

        Args:
            path: The file.
            busy_timeout: Seconds that a call may wait for a lock.
        """
        self.process_id = ""
        self._path = path
        self._busy_timeout = busy_timeout
        self._lock = ProcessLock(path)
        self._turn = WriteTurn(path)
        self._writer = Writer("sqlite-beside", partial(_connect, path), budget=busy_timeout)

    async def open(self) -> None:
        """See `Database.open`. Without a gateway, the schema is made; beside one, it is there.

        Raises:
            StorageError: The file cannot be used, or has another schema than this version.
        """
        try:
            if self._lock.take_if_free():
                await prepare(self._path)
            else:
                await check_schema(self._path)
            await asyncio.to_thread(self._turn.take, self._busy_timeout)
            await self._writer.start()
        except TimeoutError:
            await self.close()
            raise busy() from None
        except OSError as error:
            await self.close()
            raise StorageError(f"The database's directory cannot be written: {error.strerror}.") from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `Database.close`."""
        await self._writer.stop()
        self._turn.close()
        self._lock.release()

    def now(self) -> int:
        """See `Database.now`; one machine has one clock."""
        return now_micros()

    async def write(self, transaction: Transaction[T], *, undo: Undo[T] | None = None, scrub: bool = False) -> T:  # noqa: ARG002 - left to the gateway
        """See `Database.write`."""
        return await self._writer.run(
            partial(run, transaction=transaction), undo=None if undo is None else undoing(undo)
        )

    def undo(self, transaction: Transaction[Any]) -> None:
        """See `Database.undo`."""
        self._writer.undo(partial(run, transaction=transaction))

    async def read(self, transaction: Transaction[T]) -> T:
        """See `Database.read`."""
        return await self._writer.run(partial(run, transaction=transaction))


def _connect(path: Path) -> sqlite3.Connection:
    connection = connect_writer(path)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection

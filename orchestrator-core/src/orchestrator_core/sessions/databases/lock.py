"""One process at a time: SQLite serves one gateway process, and others are refused."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

from orchestrator_core.provider_api import StorageError

_MODE = 0o600
_POLL = 0.05


class ProcessLock:
    """Held from `acquire` to `release`, and given up by the system when the process ends in any way.

    It stands on a file of its own beside the database: closing a second descriptor of the database itself would drop
    SQLite's locks (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """

    def __init__(self, database: Path) -> None:
        """Make a lock for a database file."""
        self._path = database.with_name(f"{database.name}.lock")
        self._descriptor: int | None = None

    async def acquire(self, wait: float) -> None:
        """Take the lock, waiting a little for a process that is about to end.

        Args:
            wait: Seconds.

        Raises:
            StorageError: Another process has it, or the file cannot be made.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError as error:
            raise StorageError(f"The database's directory cannot be written: {error.strerror}.") from error
        try:
            await self._take(descriptor, wait)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    @staticmethod
    async def _take(descriptor: int, wait: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if loop.time() >= end:
                    raise StorageError(
                        "Another process serves with this database file. SQLite is for one process: end the other "
                        "one, or use another ORCHESTRATOR_DATABASE_URL."
                    ) from None
                await asyncio.sleep(_POLL)
            else:
                return

    def release(self) -> None:
        """Give the lock up."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

"""One process at a time: SQLite serves one gateway process, and others are refused or write in turn with it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from pathlib import Path

from orchestrator_core.provider_api import StorageError

_MODE = 0o600
_POLL = 0.05
_TURN_POLL = 0.002


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
        descriptor = self._open()
        try:
            await self._take(descriptor, wait)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def take_if_free(self) -> bool:
        """Take the lock if nobody has it, and return whether that is so.

        Raises:
            StorageError: The file cannot be made.
        """
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError as error:
            raise StorageError(f"The database's directory cannot be written: {error.strerror}.") from error

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


class WriteTurn:
    """Whose turn it is to write to a file: the process that serves, or a command that changes something beside it.

    SQLite lets several processes write. But before 3.51.3 a write may be lost that comes while another connection moves
    the log into the file (https://www.sqlite.org/wal.html#walresetbug); so whoever does either takes the turn first.
    """

    def __init__(self, database: Path) -> None:
        """Make the turn of a database file."""
        self._path = database.with_name(f"{database.name}.turn")
        self._descriptor: int | None = None

    def take(self, wait: float) -> None:
        """Take the turn. It blocks, so that it is for threads.

        Args:
            wait: Seconds.

        Raises:
            TimeoutError: Another process has it.
            OSError: The file beside the database cannot be made.
        """
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        end = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise TimeoutError from None
                time.sleep(_TURN_POLL)
            else:
                return

    def give(self) -> None:
        """Let others have it."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give it up for good."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

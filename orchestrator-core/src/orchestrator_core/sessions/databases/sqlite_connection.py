"""Connections to the database file, and what its errors mean for a caller."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from orchestrator_core.provider_api import StorageError
from orchestrator_core.sessions.errors import busy, full, unusable

LOCK_WAIT = 0.1
"""Seconds that SQLite itself waits for a lock; whoever may wait longer asks again."""

_WRITER_CACHE_KIB = 8 * 1024
_READER_CACHE_KIB = 2 * 1024
"""Little, since the writer's next commit makes a reader's cache worthless; the system's own cache is behind it."""
_CHECKPOINT_PAGES = 2000
_WAL_BYTES = 64 * 1024 * 1024

# Writing fails with IOERR_WRITE where a quota or a size limit of the process is reached, not with FULL.
# https://www.sqlite.org/rescode.html
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
_PRIMARY = 0xFF


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the one connection that writes.

    Raises:
        sqlite3.Error: The file cannot be used.
    """
    connection = _connect(path, "rw", _WRITER_CACHE_KIB)
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError("its file system has no shared memory, as network file systems do not")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot write.

    Raises:
        sqlite3.Error: The file cannot be used.
    """
    return _connect(path, "ro", _READER_CACHE_KIB)


def connect_memory(content: bytes) -> sqlite3.Connection:
    """Open a database in memory.

    Args:
        content: A database file's bytes, to begin with.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(content)
    _prepare(connection)
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def _connect(path: Path, mode: str, cache: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=LOCK_WAIT, isolation_level=None
    )
    _prepare(connection)
    connection.execute(f"PRAGMA cache_size=-{cache}")
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.create_function("now_micros", 0, now_micros)
    connection.execute("PRAGMA temp_store=MEMORY")


def now_micros() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1000


def storage_error(error: sqlite3.Error) -> StorageError:
    """Return what an error of SQLite means for a caller."""
    if is_locked(error):
        return busy()
    if _code(error) == sqlite3.SQLITE_INTERRUPT:
        return busy()  # nobody waits for it any more
    if _code(error) in _NO_ROOM:
        return full()
    return unusable()


def is_locked(error: Exception) -> bool:
    """Whether another connection holds a lock, so that waiting may help."""
    return _code(error) & _PRIMARY in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _code(error: Exception) -> int:
    # Errors of the sqlite3 module itself, such as a closed connection, have no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)

"""Whether a database file has the schema that this version needs, and bringing it there."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from orchestrator_core.provider_api import StorageError

REVISIONS = ("0001",)
"""The revisions of `migrations/versions`, oldest first."""

HEAD = REVISIONS[-1]

MIGRATE_WITHIN = 120.0
"""Seconds."""

_SHOWN = 500
_MODE = 0o600


async def prepare(path: Path) -> None:
    """Make the file where there is none, and bring its schema up to date.

    Raises:
        StorageError: The file cannot be used, is no database of this gateway, or is one of a newer version.
    """
    try:
        await asyncio.to_thread(make_file, path)
        revision = await asyncio.to_thread(current_revision, path)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"The database file cannot be used: {_reason(error)}. Check its path and rights.") from error
    if revision == HEAD:
        return
    if revision is not None and revision not in REVISIONS:
        raise StorageError(
            f"The database has the schema {revision}, which is newer than this version of the gateway "
            f"knows ({HEAD}). Upgrade the gateway, or use another ORCHESTRATOR_DATABASE_URL."
        )
    await _migrate(path)


def make_file(path: Path) -> None:
    """Make an empty file that its owner alone may read; SQLite gives the files beside it the same rights."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))


def current_revision(path: Path) -> str | None:
    """Return the schema's revision; None for an empty database.

    Raises:
        StorageError: The file is another program's database.
        sqlite3.Error: The file cannot be read.
    """
    with closing(sqlite3.connect(path, timeout=5.0)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" in tables:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return None if row is None else str(row[0])
    if tables:
        raise StorageError(
            "The database file belongs to another program. Use another path in ORCHESTRATOR_DATABASE_URL."
        )
    return None


async def _migrate(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "orchestrator_core.sessions.migrate",
        f"sqlite:///{path}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # what is sent to the gateway's process group is for the gateway to act upon
    )
    try:
        async with asyncio.timeout(MIGRATE_WITHIN):
            _, stderr = await process.communicate()
    except TimeoutError as error:
        raise StorageError(f"The database was not migrated within {MIGRATE_WITHIN:.0f} seconds.") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = stderr.decode("utf-8", "replace").strip()[-_SHOWN:] or _ending(process.returncode)
        raise StorageError(f"The database could not be migrated: {said}")


def _ending(returncode: int) -> str:
    if returncode > 0:
        return f"the migration ended with status {returncode}."
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"the migration was ended by {name}. Start the gateway again."


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

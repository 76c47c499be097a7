"""Whether a database has the schema that this version needs, and bringing it there."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from orchestrator_core.provider_api import StorageError
from orchestrator_core.sessions.databases.lock import ProcessLock

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""The revisions of `migrations/versions`, oldest first."""

HEAD = REVISIONS[-1]

NEWEST = Path(__file__).with_name("migrations") / "newest.sql"
"""What all revisions together make of an empty SQLite file (`scripts/newest_schema.py`)."""

CLIENTS = "0005"
"""The revision that brought the table of client keys."""

MIGRATE_WITHIN = 120.0
"""Seconds that a migration may take at a start; `orchestrator db upgrade` takes as long as it needs."""

CONNECT_WITHIN = 5.0
"""Seconds."""

URL_VARIABLE = "ORCHESTRATOR_MIGRATE_URL"
"""Tells the process that migrates which database."""

_VERSION = "alembic_version"
_OURS = frozenset({"sessions", "turns", "messages"})
_SHOWN = 500
_MODE = 0o600


async def prepare(path: Path, *, patient: bool = False) -> None:
    """Make the file where there is none, and bring its schema up to date.

    Args:
        path: The file.
        patient: Whether to wait however long it takes.

    Raises:
        StorageError: The file cannot be used, is no database of this gateway, or is one of a newer version.
    """
    try:
        await asyncio.to_thread(make_file, path)
        if await asyncio.to_thread(_make_newest, path):
            return
        revision = await asyncio.to_thread(current_revision, path)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"The database file cannot be used: {_reason(error)}. Check its path and rights.") from error
    if revision == HEAD:
        return
    _check_known(revision)
    await migrate(f"sqlite:///{path}", within=None if patient else MIGRATE_WITHIN)


async def prepare_postgres(url: str, *, within: float) -> None:
    """Make the schema of an empty database; one that is behind is the operator's to upgrade, since others may use it.

    Args:
        url: `postgresql://...`.
        within: Seconds to connect.

    Raises:
        StorageError: The database is behind, is no database of this gateway, or is one of a newer version.
        OSError: It cannot be reached.
        asyncpg.PostgresError: It cannot be read.
    """
    revision, tables = await _postgres_revision(url, within)
    if revision == HEAD:
        return
    _check_known(revision)
    if revision is not None:
        raise StorageError(
            f"The database has the schema {revision} and this version of the gateway needs {HEAD}. Stop what uses the "
            "database and run `orchestrator db upgrade`."
        )
    if tables & _OURS:
        raise _foreign()
    await migrate(url, within=MIGRATE_WITHIN)


async def _postgres_revision(url: str, within: float) -> tuple[str | None, set[str]]:
    """Return the revision of a PostgreSQL database, and the tables that it has."""
    # Here, because SQLite does without the driver.
    import asyncpg  # noqa: PLC0415

    connection = await asyncpg.connect(url, timeout=within, command_timeout=within)
    try:
        tables = {
            name
            for (name,) in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        }
        revision = await connection.fetchval("SELECT version_num FROM alembic_version") if _VERSION in tables else None
    finally:
        await connection.close(timeout=within)
    return revision, tables


async def revision_of(url: str) -> str | None:
    """Return the revision of the database at a URL of the configuration; None where it is empty or not there yet.

    Raises:
        ConfigError: The URL names no database that has a schema of its own to keep.
        StorageError: The database cannot be read, or belongs to another program.
    """
    path = _file(url)
    if path is None:
        # Here, because only a database that is elsewhere needs it.
        import asyncpg  # noqa: PLC0415

        try:
            return (await _postgres_revision(url, CONNECT_WITHIN))[0]
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StorageError(
                f"PostgreSQL cannot be used ({type(error).__name__}). Check ORCHESTRATOR_DATABASE_URL and that it runs."
            ) from error
    try:
        return await asyncio.to_thread(current_revision, path) if path.exists() else None
    except sqlite3.Error as error:
        raise StorageError(f"The database file cannot be read: {error}.") from error


async def upgrade_to_head(url: str) -> None:
    """Bring the database at a URL of the configuration to the newest schema, whatever it has and however long it takes.

    Raises:
        ConfigError: See `revision_of`.
        StorageError: A gateway serves with the file, or the database cannot be upgraded.
    """
    path = _file(url)
    if path is None:
        _check_known(await revision_of(url))
        await migrate(url, within=None)
        return
    lock = ProcessLock(path)
    await lock.acquire(0.0)
    try:
        await prepare(path, patient=True)
    finally:
        lock.release()


def _file(url: str) -> Path | None:
    """Return the file of a URL; None where it names a server."""
    # Here, because a migration is a process of its own and needs no configuration.
    from orchestrator_core.config import ConfigError  # noqa: PLC0415
    from orchestrator_core.config.extras import missing_extra  # noqa: PLC0415
    from orchestrator_core.config.settings import MEMORY, POSTGRES, SQLITE  # noqa: PLC0415

    if url.startswith(POSTGRES):
        if problem := missing_extra("ORCHESTRATOR_DATABASE_URL", "asyncpg", "postgresql"):
            raise ConfigError([problem])
        return None
    if url == MEMORY:
        raise ConfigError(["ORCHESTRATOR_DATABASE_URL: a database in memory ends with its process; name another one."])
    return Path(url.removeprefix(SQLITE))


def _check_known(revision: str | None) -> None:
    if revision is not None and revision not in REVISIONS:
        raise StorageError(
            f"The database has the schema {revision}, which is newer than this version of the gateway "
            f"knows ({HEAD}). Upgrade the gateway, or use another ORCHESTRATOR_DATABASE_URL."
        )


def _foreign() -> StorageError:
    return StorageError("The database belongs to another program. Use another one in ORCHESTRATOR_DATABASE_URL.")


def make_file(path: Path) -> None:
    """Make an empty file that its owner alone may read; SQLite gives the files beside it the same rights."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))


def _make_newest(path: Path) -> bool:
    """Make the newest schema where a file is empty, and return whether it was: Alembic would take half a second."""
    with closing(sqlite3.connect(path, timeout=5.0)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            return False
        connection.executescript(NEWEST.read_text())  # one transaction
    return True


def current_revision(path: Path) -> str | None:
    """Return the schema's revision; None for an empty database.

    Raises:
        StorageError: The file is another program's database.
        sqlite3.Error: The file cannot be read.
    """
    with closing(sqlite3.connect(path, timeout=5.0)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if _VERSION in tables:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return None if row is None else str(row[0])
    if tables:
        raise _foreign()
    return None


async def migrate(url: str, *, within: float | None) -> None:
    """Bring a database to the newest schema, in a process of its own: serving needs neither SQLAlchemy nor Alembic.

    Args:
        url: `sqlite:///...` or `postgresql://...`.
        within: Seconds that it may take; None is any number.

    Raises:
        StorageError: It could not be done, and nothing was changed.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "orchestrator_core.sessions.migrate",
        env={**os.environ, URL_VARIABLE: url},  # a command line can be read by everybody
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # what is sent to the gateway's process group is for the gateway to act upon
    )
    try:
        async with asyncio.timeout(within):
            _, stderr = await process.communicate()
    except TimeoutError as error:
        raise StorageError(
            f"The database was not upgraded within {within:.0f} seconds, and is as it was. Run `orchestrator db "
            "upgrade`, which takes as long as it needs, and then start the gateway."
        ) from error
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

"""What a start has to know of the store before it opens it. Nothing is made, changed or kept open."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from orchestrator_core.config import ConfigError, Settings
from orchestrator_core.config.settings import MEMORY, POSTGRES, SQLITE
from orchestrator_core.provider_api import StorageError
from orchestrator_core.sessions.databases.postgres_sql import to_postgres
from orchestrator_core.sessions.databases.sqlite_connection import connect_reader
from orchestrator_core.sessions.jobs.client_statements import HAS_CLIENT
from orchestrator_core.sessions.schema import CLIENTS, CONNECT_WITHIN, REVISIONS, revision_of


async def has_client_key(settings: Settings) -> bool | None:
    """Return whether the store has a client key that is taken.

    Returns:
        None where that cannot be known, because the database is away or cannot be read: opening it says why.
    """
    url = settings.database_url
    if url == MEMORY:
        return False
    now = time.time_ns() // 1000
    try:
        revision = await revision_of(url)
        if revision is None:
            return False
        if revision not in REVISIONS:
            return None
        if revision < CLIENTS:
            return False
        if url.startswith(POSTGRES):
            return await _has_on_postgres(url, now)
        return await asyncio.to_thread(_has_in_file, Path(url.removeprefix(SQLITE)), now)
    except (StorageError, ConfigError, OSError, sqlite3.Error):
        return None


def _has_in_file(path: Path, now: int) -> bool:
    with closing(connect_reader(path)) as connection:
        return connection.execute(HAS_CLIENT, (now,)).fetchone() is not None


async def _has_on_postgres(url: str, now: int) -> bool | None:
    # Here, because SQLite does without the driver.
    import asyncpg  # noqa: PLC0415

    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_WITHIN, command_timeout=CONNECT_WITHIN)
        try:
            return await connection.fetchval(to_postgres(HAS_CLIENT), now) is not None
        finally:
            await connection.close(timeout=CONNECT_WITHIN)
    except (asyncpg.PostgresError, asyncpg.InterfaceError):
        return None

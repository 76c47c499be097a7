"""The conversation store: models, protocol, transactions, databases, migrations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator_core.config import Settings
    from orchestrator_core.sessions.databases.base import Database
    from orchestrator_core.sessions.store import SessionStore

SQLITE = "sqlite:///"
MEMORY = "memory:"
POSTGRES = ("postgresql://", "postgres://")

BUSY_TIMEOUT = 5.0
"""Seconds that a call may wait for the database."""


def open_store(settings: Settings, *, redact: Callable[[str], str] = lambda text: text) -> SessionStore:
    """Return the store that the settings name, not yet opened.

    Args:
        settings: `database_url`, `database_connections` and `session_max_duration_minutes` count.
        redact: Masks secrets in all text that is written.

    Raises:
        ConfigError: The URL names no database that can be used.
    """
    # Here, because a migration is a process of its own that imports this package and needs none of these.
    from orchestrator_core.config import ConfigError  # noqa: PLC0415
    from orchestrator_core.sessions.conversations import Conversations  # noqa: PLC0415

    try:
        database = _database(settings)
    except ValueError as error:
        raise ConfigError([f"ORCHESTRATOR_DATABASE_URL: {error}"]) from None
    idle = timedelta(minutes=settings.session_max_duration_minutes)
    return Conversations(database, max_idle=idle, redact=redact)


def _database(settings: Settings) -> Database:
    url = settings.database_url
    if url.startswith(POSTGRES):
        if find_spec("asyncpg") is None:
            raise ValueError("PostgreSQL needs a driver: pip install 'orchestrator-core[postgresql]'.")
        from orchestrator_core.sessions.databases.postgres import PostgresDatabase  # noqa: PLC0415 - one process needs one

        return PostgresDatabase(url, connections=settings.database_connections, budget=BUSY_TIMEOUT)
    if url == MEMORY:
        if settings.production:
            raise ValueError("a database in memory loses every conversation: use sqlite:///file or postgresql://.")
        from orchestrator_core.sessions.databases.memory import MemoryDatabase  # noqa: PLC0415 - as above

        return MemoryDatabase(busy_timeout=BUSY_TIMEOUT)
    name = url.removeprefix(SQLITE)
    if name == url:
        raise ValueError(
            "expected sqlite:///file (relative), sqlite:////path/to/file, postgresql://user:password@host/database, "
            "or memory: for tests."
        )
    if not name or name == ":memory:":
        raise ValueError("a database in memory loses every conversation: use sqlite:///file, or memory: for tests.")
    if "?" in name:
        raise ValueError("sqlite:///file takes no parameters.")
    from orchestrator_core.sessions.databases.sqlite import SqliteDatabase  # noqa: PLC0415 - as above

    return SqliteDatabase(Path(name), busy_timeout=BUSY_TIMEOUT)

"""The conversation store: models, protocol, transactions, databases, migrations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from orchestrator_core.config import Settings
    from orchestrator_core.sessions.databases.base import Database
    from orchestrator_core.sessions.databases.observed import Observe
    from orchestrator_core.sessions.store import SessionStore

Access = Literal["serve", "beside", "read"]
"""What a SQLite file is opened for. `serve`: by one process alone. `beside`: to change something in a moment, whether a
gateway serves with it or not. `read`: to look only, also then. Other databases make no difference."""

BUSY_TIMEOUT = 5.0
"""Seconds that a call may wait for the database."""

END_WITHIN = 120.0
"""Seconds in which the end of a turn is stored after its last moment; then the turn counts as abandoned."""


def open_store(
    settings: Settings,
    *,
    redact: Callable[[str], str] = lambda text: text,
    access: Access = "serve",
    observe: Observe | None = None,
) -> SessionStore:
    """Return the store that the settings name, not yet opened.

    Args:
        settings: `database_url`, `database_connections`, `session_max_duration_minutes` and `total_timeout` count.
        redact: Masks secrets in all text that is written.
        access: What it is opened for.
        observe: Is told how long each transaction took.

    Raises:
        ConfigError: The driver of the database is not installed.
    """
    # Here, because a migration is a process of its own that imports this package and needs none of these.
    from orchestrator_core.sessions.conversations import Conversations  # noqa: PLC0415

    idle = timedelta(minutes=settings.session_max_duration_minutes)
    database = _database(settings, access)
    if observe is not None:
        from orchestrator_core.sessions.databases.observed import ObservedDatabase  # noqa: PLC0415 - as above

        database = ObservedDatabase(database, observe)
    turn = timedelta(seconds=settings.total_timeout + END_WITHIN)
    return Conversations(database, max_idle=idle, max_turn=turn, redact=redact)


def _database(settings: Settings, access: Access) -> Database:
    from orchestrator_core.config import ConfigError  # noqa: PLC0415 - as above
    from orchestrator_core.config.extras import missing_extra  # noqa: PLC0415 - as above
    from orchestrator_core.config.settings import MEMORY, POSTGRES, SQLITE  # noqa: PLC0415 - as above

    url = settings.database_url
    if url.startswith(POSTGRES):
        if problem := missing_extra("ORCHESTRATOR_DATABASE_URL", "asyncpg", "postgresql"):
            raise ConfigError([problem])
        from orchestrator_core.sessions.databases.postgres import PostgresDatabase  # noqa: PLC0415 - one is enough

        return PostgresDatabase(url, connections=settings.database_connections, budget=BUSY_TIMEOUT)
    if url == MEMORY:
        from orchestrator_core.sessions.databases.memory import MemoryDatabase  # noqa: PLC0415 - as above

        return MemoryDatabase(busy_timeout=BUSY_TIMEOUT)
    path = Path(url.removeprefix(SQLITE))
    if access == "read":
        from orchestrator_core.sessions.databases.sqlite_reading import SqliteReadings  # noqa: PLC0415 - as above

        return SqliteReadings(path, busy_timeout=BUSY_TIMEOUT)
    if access == "beside":
        from orchestrator_core.sessions.databases.sqlite_beside import SqliteBeside  # noqa: PLC0415 - as above

        return SqliteBeside(path, busy_timeout=BUSY_TIMEOUT)
    from orchestrator_core.sessions.databases.sqlite import SqliteDatabase  # noqa: PLC0415 - as above

    return SqliteDatabase(path, busy_timeout=BUSY_TIMEOUT)

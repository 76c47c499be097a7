"""The conversation store: models, protocol, implementations, migrations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator_core.config import Settings
    from orchestrator_core.sessions.store import SessionStore

_SQLITE = "sqlite:///"


def open_store(settings: Settings, *, redact: Callable[[str], str] = lambda text: text) -> SessionStore:
    """Return the store that the settings name, not yet opened.

    Args:
        settings: `database_url` and `session_max_duration_minutes` count.
        redact: Masks secrets in all text that is written.

    Raises:
        ConfigError: The URL names no database that can be used.
    """
    # Here, because a migration is a process of its own that imports this package and needs none of these.
    from orchestrator_core.config import ConfigError  # noqa: PLC0415
    from orchestrator_core.sessions.sqlite import SqliteStore  # noqa: PLC0415

    url = settings.database_url
    scheme = url.partition(":")[0]
    if scheme.partition("+")[0] in {"postgresql", "postgres"}:
        problem = "PostgreSQL is not supported by this version: use sqlite:///file."
    elif not url.startswith(_SQLITE):
        problem = "expected sqlite:///file (relative) or sqlite:////path/to/file."
    elif not (name := url.removeprefix(_SQLITE)) or name == ":memory:":
        problem = "a database in memory loses every conversation: use sqlite:///file."
    elif "?" in name:
        problem = "sqlite:///file takes no parameters."
    else:
        idle = timedelta(minutes=settings.session_max_duration_minutes)
        return SqliteStore(Path(name), max_idle=idle, redact=redact)
    raise ConfigError([f"ORCHESTRATOR_DATABASE_URL: {problem}"])

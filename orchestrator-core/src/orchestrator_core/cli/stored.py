"""The conversation store, for commands that run beside a gateway or without one. Only what needs it imports this."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from orchestrator_core.config import Config, ConfigError
from orchestrator_core.config.settings import MEMORY
from orchestrator_core.sessions import Access, open_store
from orchestrator_core.sessions.store import SessionStore
from orchestrator_core.telemetry import logging
from orchestrator_core.telemetry.redaction import REDACTOR


@asynccontextmanager
async def stored(config: Config, access: Access) -> AsyncGenerator[SessionStore, None]:
    """Open the store that the configuration names, and close it at the end.

    Args:
        config: The configuration.
        access: What it is opened for.

    Raises:
        ConfigError: The database cannot be used by a command.
        StorageError: It cannot be opened; for `serve`, no gateway may have a SQLite file.
    """
    logging.configure(config.settings)  # to standard error: standard output is for the answer
    if config.settings.database_url == MEMORY:
        raise ConfigError(["ORCHESTRATOR_DATABASE_URL: a database in memory ends with its process; name another one."])
    store = open_store(config.settings, redact=REDACTOR.redact, access=access)
    await store.open()
    try:
        yield store
    finally:
        await store.close()

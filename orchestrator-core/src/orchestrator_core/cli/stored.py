"""The conversation store, for commands that run beside a gateway or without one. Only what needs it imports this."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from orchestrator_core.config import Config, ConfigError
from orchestrator_core.config.settings import MEMORY
from orchestrator_core.sessions import open_store
from orchestrator_core.sessions.store import SessionStore
from orchestrator_core.telemetry import logging
from orchestrator_core.telemetry.redaction import REDACTOR


@asynccontextmanager
async def stored(config: Config, *, readonly: bool) -> AsyncGenerator[SessionStore, None]:
    """Open the store that the configuration names, and close it at the end.

    Args:
        config: The configuration.
        readonly: Whether it is only read: then a SQLite file may be in use.

    Raises:
        ConfigError: The database cannot be used by a command.
        StorageError: It cannot be opened; to write, no gateway may serve with a SQLite file.
    """
    logging.configure(config.settings)  # to standard error: standard output is for the answer
    if config.settings.database_url == MEMORY:
        raise ConfigError(["ORCHESTRATOR_DATABASE_URL: a database in memory ends with its process; name another one."])
    store = open_store(config.settings, redact=REDACTOR.redact, readonly=readonly)
    await store.open()
    try:
        yield store
    finally:
        await store.close()

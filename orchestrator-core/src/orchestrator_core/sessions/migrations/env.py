"""What Alembic runs to bring a database to a revision; `config.attributes["url"]` names the database."""

from __future__ import annotations

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.pool import NullPool

_LOCK = 0x6F726368
"""The number of the lock by which one process at a time migrates a PostgreSQL database."""


def _migrate() -> None:
    url = context.config.attributes["url"]
    if url.startswith("sqlite"):
        _migrate_sqlite(url)
    else:
        asyncio.run(_migrate_postgres(url))


def _migrate_sqlite(url: str) -> None:
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    # The driver would commit before every DDL statement; so a migration is one transaction, whole or not at all.
    # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable
    event.listen(engine, "connect", _leave_transactions_alone)
    event.listen(engine, "begin", _begin)
    with engine.connect() as connection:
        _run(connection)
    engine.dispose()


async def _migrate_postgres(url: str) -> None:
    # Here, because SQLite needs neither.
    import asyncpg  # noqa: PLC0415
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(url, timeout=10),
        poolclass=NullPool,
        hide_parameters=True,
    )
    async with engine.connect() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


def _run(connection: Connection) -> None:
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
        context.run_migrations()


def _leave_transactions_alone(connection: Any, _record: object) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


_migrate()

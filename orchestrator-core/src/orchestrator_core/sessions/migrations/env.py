"""What Alembic runs to bring a database to a revision; `config.attributes["url"]` names the database."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool


def _migrate() -> None:
    engine = create_engine(context.config.attributes["url"], poolclass=NullPool, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        # The driver would commit before every DDL statement; so a migration is one transaction, whole or not at all.
        # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable
        event.listen(engine, "connect", _leave_transactions_alone)
        event.listen(engine, "begin", _begin)
    with engine.connect() as connection:
        context.configure(connection=connection, transactional_ddl=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


def _leave_transactions_alone(connection: Any, _record: object) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


_migrate()

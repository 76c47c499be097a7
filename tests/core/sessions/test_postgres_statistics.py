from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from databases import PostgresServer
from filled import Filling, fill_postgres
from orchestrator_core.sessions.databases import postgres as module
from orchestrator_core.sessions.databases.postgres import PostgresDatabase
from orchestrator_core.sessions.databases.postgres_sql import to_postgres
from orchestrator_core.sessions.databases.postgres_statistics import analyse, outgrown
from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.steps import Steps

OF_A_TURN = (
    "LOCK_SESSION",
    "LOCK_SESSION_OF_TURN",
    "GET_SESSION",
    "GET_TURN_AND_SESSION",
    "GET_NEWEST",
    "SESSION_BEGINS_TURN",
    "SESSION_ENDS_TURN",
    "END_TURN",
)
WHOLE_TENANT = re.compile(r"Seq Scan on|Index Cond: \(tenant = \$\d+\)$", re.MULTILINE)


@pytest.fixture
async def url(postgres: PostgresServer) -> str:
    """A database of which autovacuum takes no statistics."""
    url = await postgres.migrated()
    connection = await asyncpg.connect(url)
    for table in ("sessions", "turns", "messages", "summaries", "labels", "usage"):
        await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    await connection.close()
    return url


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[None]:
    database = PostgresDatabase(url, connections=5, budget=5.0)
    await database.open()
    try:
        yield
    finally:
        await database.close()


async def prepare(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Prepare the statements of a turn as connections do that have run them some times: with plans that are kept."""
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    for name in OF_A_TURN:
        await connection.execute(f"PREPARE {name} AS {to_postgres(getattr(statements, name))}")
        await plan(connection, name)


async def plan(connection: asyncpg.Connection[asyncpg.Record], name: str) -> str:
    """Return the plan that a connection keeps for a statement."""
    types = await connection.fetchval(
        "SELECT parameter_types FROM pg_prepared_statements WHERE name = $1", name.lower()
    )
    lines = await connection.fetch(f"EXPLAIN EXECUTE {name} ({', '.join(['NULL'] * len(types))})")
    return "\n".join(line for (line,) in lines)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await holds():
            await asyncio.sleep(0.1)


async def test_plans_that_were_made_for_empty_tables_are_made_anew_when_there_are_rows(url: str) -> None:
    connection = await asyncpg.connect(url)

    async def reads_by_keys() -> bool:
        return not any([WHOLE_TENANT.search(await plan(connection, name)) for name in OF_A_TURN])

    try:
        await prepare(connection)
        await fill_postgres(url, Filling(300, messages=6, context=4), statistics=False)
        assert not await reads_by_keys()
        async with serving(url):
            await until(reads_by_keys)
    finally:
        await connection.close()


async def test_statistics_keep_up_with_a_table_that_grows(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with serving(url):
            for rows in (100, 1000, 10_000):
                await connection.execute(
                    "INSERT INTO sessions (tenant, id, metadata, created_at, active_at) "
                    "SELECT 't', i::text, '{}', i, i FROM generate_series($1::int, $2) i",
                    rows // 10 + 1,
                    rows,
                )

                async def known(rows: int = rows) -> bool:
                    counted = await connection.fetchval("SELECT reltuples FROM pg_class WHERE relname = 'sessions'")
                    return bool(counted >= rows * 0.9)

                await until(known)
    finally:
        await connection.close()


async def test_a_user_that_does_not_own_the_tables_leaves_them_to_autovacuum(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await fill_postgres(url, Filling(300), statistics=False)
        query = next(outgrown())
        while not await connection.fetch(to_postgres(query.sql)):
            await asyncio.sleep(0.1)  # PostgreSQL counts rows a moment later
        async with connection.transaction():
            await connection.execute("CREATE ROLE not_the_owner; SET LOCAL ROLE not_the_owner")
            assert await connection.fetch(to_postgres(query.sql)) == []
            await connection.execute("RESET ROLE; DROP ROLE not_the_owner")
    finally:
        await connection.close()


async def test_a_store_closes_while_statistics_are_being_committed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = asyncpg.transaction.Transaction.commit
    analysed, at_end = asyncio.Event(), asyncio.Event()

    def seen(table: str) -> Steps[None]:
        yield from analyse(table)
        analysed.set()

    async def slow(transaction: asyncpg.transaction.Transaction) -> None:
        if analysed.is_set():
            at_end.set()
            await asyncio.sleep(0.5)
        await commit(transaction)

    await fill_postgres(url, Filling(300), statistics=False)
    database = PostgresDatabase(url, connections=5, budget=5.0)
    await database.open()
    monkeypatch.setattr(module, "analyse", seen)
    monkeypatch.setattr(asyncpg.transaction.Transaction, "commit", slow)
    async with asyncio.timeout(60):
        await at_end.wait()
        await database.close()
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM processes") == 0
    await connection.close()

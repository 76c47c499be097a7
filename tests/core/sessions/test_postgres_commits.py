"""Commits whose end nobody was told."""

from __future__ import annotations

import asyncio
from functools import partial

import asyncpg
import pytest

from databases import PostgresServer
from orchestrator_core.provider_api import StorageError
from orchestrator_core.sessions.conversations import Conversations
from orchestrator_core.sessions.databases import postgres as module
from orchestrator_core.sessions.databases.postgres import PostgresDatabase
from orchestrator_core.sessions.databases.postgres_commits import once_ended
from orchestrator_core.sessions.steps import Steps, do
from stores import MAX_IDLE, TENANT, ask, claim, talk

_HELD_UP = """
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0
  AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON turns DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION wait();
CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON idempotency DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION wait();
SELECT pg_advisory_lock(1);
"""
"""Holds up commits until the lock is given back."""


@pytest.fixture
async def url(postgres: PostgresServer) -> str:
    return await postgres.migrated()


async def test_a_commit_that_outlives_its_connection_is_undone(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = asyncpg.transaction.Transaction.commit
    commits = set[asyncio.Task[None]]()

    async def broken(self: asyncpg.transaction.Transaction) -> None:
        commits.add(asyncio.create_task(commit(self)))
        await asyncio.sleep(0.1)
        raise ConnectionResetError

    store = Conversations(PostgresDatabase(url, connections=5, budget=5.0), max_idle=MAX_IDLE)
    await store.open()
    session = (await talk(store, "one")).session.id
    server = await asyncpg.connect(url)
    try:
        await server.execute(_HELD_UP)
        with monkeypatch.context() as patch:
            patch.setattr(asyncpg.transaction.Transaction, "commit", broken)
            begun = [ask(store, "two", session), ask(store, "new"), store.claim(TENANT, "k", "print")]
            outcomes = await asyncio.gather(*begun, return_exceptions=True)
        assert all(isinstance(outcome, StorageError) for outcome in outcomes)
        await asyncio.sleep(0.3)
        await server.execute("SELECT pg_advisory_unlock(1)")
        async with asyncio.timeout(20):
            while await server.fetch("SELECT state FROM turns ORDER BY state") != [
                ("client_closed",),
                ("client_closed",),
                ("complete",),
            ]:
                await asyncio.sleep(0.05)
            while await server.fetch("SELECT key FROM idempotency"):
                await asyncio.sleep(0.05)
        await claim(store, "k")
    finally:
        await server.close()
        await store.close()
        await asyncio.gather(*commits, return_exceptions=True)


async def test_a_commit_that_has_not_reached_the_server_yet_is_waited_for(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNDO_DELAYS", (1.0,))
    undone = asyncio.Event()

    def undo() -> Steps[None]:
        yield from do("SELECT 1")
        undone.set()

    database = PostgresDatabase(url, connections=2, budget=5.0)
    await database.open()
    committing = await asyncpg.connect(url)
    try:
        transaction = committing.transaction()
        await transaction.start()
        database.undo(partial(once_ended, committing.get_server_pid(), undo))
        await asyncio.sleep(0.3)
        assert not undone.is_set()
        await transaction.commit()
        async with asyncio.timeout(10):
            await undone.wait()
    finally:
        await committing.close()
        await database.close()

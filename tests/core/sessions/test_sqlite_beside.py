"""A command that writes to the file of a gateway that serves, and what a start looks up there."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from databases import PostgresServer
from orchestrator_core.config import Settings
from orchestrator_core.config.grants import Grant
from orchestrator_core.orchestration.clients import Clients
from orchestrator_core.provider_api import StorageBusy, StorageError
from orchestrator_core.sessions import open_store
from orchestrator_core.sessions.conversations import Conversations
from orchestrator_core.sessions.databases.lock import WriteTurn
from orchestrator_core.sessions.databases.sqlite_beside import SqliteBeside
from orchestrator_core.sessions.first_look import has_client_key
from stores import MAX_IDLE, copy_to, sqlite_store, talk


def beside(path: Path, busy_timeout: float = 5.0) -> Conversations:
    return Conversations(SqliteBeside(path, busy_timeout=busy_timeout), max_idle=MAX_IDLE)


async def test_a_command_and_a_gateway_write_in_turn(path: Path) -> None:
    serving = sqlite_store(path)
    await serving.open()

    async def serve() -> None:
        for number in range(100):
            await talk(serving, f"question {number}")

    async def command() -> None:
        for number in range(10):
            store = beside(path)
            await store.open()
            await Clients(store.clients).create(f"client {number}", Grant())
            await store.close()

    await asyncio.gather(serve(), command())
    assert len(await serving.clients.changed(0)) == 10
    assert len((await serving.list_sessions("acme", limit=200)).items) == 100
    await serving.close()


async def test_without_a_gateway_the_schema_is_made_and_nobody_can_begin_to_serve(path: Path) -> None:
    store = beside(path)
    await store.open()
    await Clients(store.clients).create("app", Grant())
    second = sqlite_store(path, busy_timeout=0.1)
    with pytest.raises(StorageError, match="Another process serves"):
        await second.open()
    await store.close()
    await second.open()
    assert len(await second.clients.changed(0)) == 1
    await second.close()


async def test_whoever_has_the_turn_is_waited_for_and_not_for_ever(path: Path) -> None:
    serving = sqlite_store(path, busy_timeout=0.3)
    await serving.open()
    turn = WriteTurn(path)
    turn.take(0.0)
    with pytest.raises(StorageBusy):
        await serving.create_session("acme")
    with pytest.raises(StorageBusy):
        await beside(path, 0.1).open()
    timer = threading.Timer(0.1, turn.give)
    timer.start()
    await serving.create_session("acme")
    timer.join()
    turn.close()
    await serving.close()


async def test_a_file_of_another_schema_is_not_written_beside_a_gateway(path: Path) -> None:
    serving = sqlite_store(path)
    await serving.open()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0003'")
    with pytest.raises(StorageError, match="db upgrade"):
        await beside(path).open()
    await serving.close()


async def seen(url: str) -> list[bool | None]:
    """Return what a start sees of keys: without one, with one, after it expired, after another is revoked."""
    settings = Settings(database_url=url)
    found = [await has_client_key(settings)]
    store = open_store(settings, access="beside")
    await store.open()
    now = datetime.now(UTC)
    clients = Clients(store.clients)
    await clients.create("expired", Grant(), expires_at=now - timedelta(seconds=1))
    found.append(await has_client_key(settings))
    made = await clients.create("app", Grant(), expires_at=now + timedelta(hours=1))
    found.append(await has_client_key(settings))
    await clients.revoke(made.client.id)
    found.append(await has_client_key(settings))
    await store.close()
    return found


async def test_a_start_sees_keys_that_are_taken_in_a_file(path: Path) -> None:
    assert await seen(f"sqlite:///{path}") == [False, False, True, False]


async def test_a_start_sees_keys_that_are_taken_on_postgres(postgres: PostgresServer) -> None:
    assert await seen(await postgres.empty()) == [False, False, True, False]


async def test_where_it_cannot_be_known_opening_the_store_says_why(path: Path) -> None:
    assert not await has_client_key(Settings(database_url="memory:"))
    path.write_bytes(b"no database" * 100)
    assert await has_client_key(Settings(database_url=f"sqlite:///{path}")) is None
    assert await has_client_key(Settings(database_url="postgresql://nobody@127.0.0.1:1/none")) is None
    copy_to(path)
    settings = Settings(database_url=f"sqlite:///{path}")
    assert await has_client_key(settings) is False, "of a time before there were any"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from-tomorrow'")
    assert await has_client_key(settings) is None

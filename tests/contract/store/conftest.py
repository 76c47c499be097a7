"""Every implementation of the store, one parameter each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from databases import PostgresServer
from orchestrator_core.sessions.conversations import Conversations
from orchestrator_core.sessions.databases.base import Database
from orchestrator_core.sessions.databases.memory import MemoryDatabase
from orchestrator_core.sessions.databases.postgres import PostgresDatabase
from orchestrator_core.sessions.databases.sqlite import SqliteDatabase
from orchestrator_core.sessions.jobs.beginning import Begun, Limits
from orchestrator_core.sessions.models import StartedTurn
from orchestrator_core.sessions.store import SessionStore
from stores import MAX_IDLE, Clock, HeldDecoding, copy_to

StoreFactory = Callable[..., SessionStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "memory", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A database with its schema, not opened."""
    if request.param == "memory":
        return MemoryDatabase(busy_timeout=5.0)
    if request.param == "sqlite":
        copy_to(tmp_path / "store.db")
        return SqliteDatabase(tmp_path / "store.db", busy_timeout=5.0)
    server: PostgresServer = request.getfixturevalue("postgres")
    return PostgresDatabase(await server.migrated(), connections=8, budget=5.0)


@pytest.fixture
def make_store(database: Database, clock: Clock) -> StoreFactory:
    """Make a store, not opened."""

    def make(**options: Any) -> SessionStore:
        return Conversations(database, **{"max_idle": MAX_IDLE, "clock": clock, **options})

    return make


@pytest.fixture
async def store(make_store: StoreFactory) -> AsyncIterator[SessionStore]:
    opened = make_store()
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def decoding(monkeypatch: pytest.MonkeyPatch) -> HeldDecoding:
    """Hold up the thread that decodes what a turn is answered in, until the test lets it go on."""
    held = HeldDecoding(asyncio.Event(), threading.Event())
    loop, decode = asyncio.get_running_loop(), Begun.started

    def started(begun: Begun, tenant: str, now: int, limits: Limits) -> StartedTurn:
        loop.call_soon_threadsafe(held.begun.set)
        assert held.goes_on.wait(30)
        return decode(begun, tenant, now, limits)

    monkeypatch.setattr(Begun, "started", started)
    return held

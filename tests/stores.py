"""Stores for tests, without a migration each."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator_core.provider_api import Message, Usage, text_message
from orchestrator_core.sessions.conversations import Conversations
from orchestrator_core.sessions.databases.sqlite import SqliteDatabase
from orchestrator_core.sessions.models import FinishedTurn, NewTurn, StartedTurn, TurnOutcome
from orchestrator_core.sessions.store import SessionStore

TENANT = "acme"
MAX_IDLE = timedelta(minutes=180)


class Clock:
    """A clock that a test sets forward."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def advance(self, span: timedelta) -> None:
        """Let time pass."""
        self.now += span.total_seconds()


class HeldDecoding(NamedTuple):
    """What a turn that begins is answered in, on its way from rows to messages."""

    begun: asyncio.Event
    goes_on: threading.Event


@cache
def migrated() -> bytes:
    """Return a database file of the newest schema."""
    # Here, because most tests need neither SQLAlchemy nor Alembic.
    from alembic import command  # noqa: PLC0415

    from orchestrator_core.sessions.migrate import configuration  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        command.upgrade(configuration(f"sqlite:///{path}"), "head")
        return path.read_bytes()


def copy_to(path: Path) -> None:
    """Make a database file of the newest schema."""
    path.touch(0o600)
    path.write_bytes(migrated())


def sqlite_store(path: Path, *, busy_timeout: float = 5.0, **options: Any) -> Conversations:
    """Return a store on a file, which is made with its schema where there is none. It is not opened."""
    if not path.exists():
        copy_to(path)
    return plain_store(path, busy_timeout=busy_timeout, **options)


def plain_store(path: Path, *, busy_timeout: float = 5.0, **options: Any) -> Conversations:
    """Return a store on a file as it is. It is not opened."""
    return Conversations(SqliteDatabase(path, busy_timeout=busy_timeout), **{"max_idle": MAX_IDLE, **options})


def user(text: str) -> list[Message]:
    """Return a turn of one message."""
    return [text_message("user", text)]


def answered(text: str = "an answer", **fields: Any) -> TurnOutcome:
    """Return the outcome of a turn that went well."""
    fields = {
        "state": "complete",
        "message": text_message("assistant", text),
        "provider": "alpha",
        "model": "alpha-1",
        "finish_reason": "stop",
        "usage": Usage(10, 1, 2, 5, 3),
        "cost": 0.25,
        "duration": 2.0,
        **fields,
    }
    return TurnOutcome(**fields)


async def ask(
    store: SessionStore, text: str, session_id: str | None = None, *, tenant: str = TENANT, **fields: Any
) -> StartedTurn:
    """Begin a turn."""
    return await store.begin_turn(tenant, NewTurn(messages=user(text), session_id=session_id, **fields))


async def talk(
    store: SessionStore, text: str, session_id: str | None = None, *, tenant: str = TENANT, **fields: Any
) -> FinishedTurn:
    """Have a whole turn; the answer is `re: ` and the question."""
    started = await ask(store, text, session_id, tenant=tenant)
    return await store.finish_turn(tenant, started, answered(f"re: {text}", **fields))


async def claim(store: SessionStore, key: str, fingerprint: str = "print", *, tenant: str = TENANT) -> int:
    """Claim a key that is free."""
    since = await store.claim(tenant, key, fingerprint)
    assert isinstance(since, int)
    return since


async def texts(store: SessionStore, session_id: str, *, tenant: str = TENANT) -> Sequence[str]:
    """Return what was said in a session, oldest first."""
    page = await store.history(tenant, session_id, limit=10_000)
    return [stored.message.text for stored in page.items]

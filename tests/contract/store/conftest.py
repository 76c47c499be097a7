"""Every implementation of the store, one parameter each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator_core.sessions.store import SessionStore
from stores import Clock, sqlite_store

StoreFactory = Callable[..., SessionStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite"])
def make_store(tmp_path: Path, clock: Clock) -> StoreFactory:
    """Make a store, not opened; every call is on the same data."""

    def make(**options: Any) -> SessionStore:
        return sqlite_store(tmp_path / "store.db", clock=clock, **options)

    return make


@pytest.fixture
async def store(make_store: StoreFactory) -> AsyncIterator[SessionStore]:
    opened = make_store()
    await opened.open()
    yield opened
    await opened.close()

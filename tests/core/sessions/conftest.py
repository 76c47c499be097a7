from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator_core.sessions.conversations import Conversations
from stores import sqlite_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Conversations]:
    opened = sqlite_store(path, busy_timeout=1.0)
    await opened.open()
    yield opened
    await opened.close()

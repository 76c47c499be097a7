"""Transactions are timed, whatever becomes of them."""

from __future__ import annotations

import pytest

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import NotFound, StorageError
from orchestrator_core.sessions import open_store


async def test_each_transaction_is_told_with_its_kind_and_the_failure_of_the_store() -> None:
    told: list[tuple[str, str | None]] = []

    def observe(kind: str, seconds: float, code: str | None) -> None:
        assert 0 <= seconds < 60
        told.append((kind, code))

    store = open_store(Settings(database_url="memory:"), observe=observe)
    await store.open()
    await store.create_session("tenant")
    await store.ping()
    with pytest.raises(NotFound):
        await store.get_session("tenant", "sess_" + "0" * 32)
    await store.close()
    assert told == [("write", None), ("write", None), ("read", None)], "what is not there is no failure of the store"
    with pytest.raises(StorageError) as closed:
        await store.ping()
    assert told[3:] == [("write", closed.value.code)]

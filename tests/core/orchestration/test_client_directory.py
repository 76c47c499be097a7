"""The client keys as a process knows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from orchestrator_core.config.grants import Grant
from orchestrator_core.orchestration import client_directory
from orchestrator_core.orchestration.client_directory import ClientDirectory
from orchestrator_core.orchestration.clients import Clients
from orchestrator_core.provider_api import StorageError
from orchestrator_core.sessions.clients import Client
from orchestrator_core.sessions.conversations import Conversations
from orchestrator_core.sessions.databases.memory import MemoryDatabase
from stores import MAX_IDLE


class Watched:
    """Counts the looks into a store, and may be away."""

    def __init__(self, store: Conversations) -> None:
        self.store = store
        self.looks = 0
        self.away = False

    def __getattr__(self, name: str) -> object:
        return getattr(self.store.clients, name)

    async def changed(self, after: int) -> Sequence[Client]:
        self.looks += 1
        if self.away:
            raise StorageError("away")
        return await self.store.clients.changed(after)


@pytest.fixture
async def store() -> AsyncIterator[Conversations]:
    opened = Conversations(MemoryDatabase(busy_timeout=5.0), max_idle=MAX_IDLE)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def watched(store: Conversations) -> Watched:
    return Watched(store)


@pytest.fixture
async def directory(watched: Watched) -> AsyncIterator[ClientDirectory]:
    made = ClientDirectory(watched)  # type: ignore[arg-type] - it passes on what it does not have itself
    await made.start()
    yield made
    await made.close()


async def test_it_knows_what_was_made_before_it_started(store: Conversations) -> None:
    clients = Clients(store.clients)
    kept = (await clients.create("kept", Grant())).client
    gone = (await clients.create("gone", Grant())).client
    await clients.revoke(gone.id)
    directory = ClientDirectory(store.clients)
    await directory.start()
    assert directory.find(kept.id) is not None
    assert directory.find(gone.id) is None
    await directory.close()


async def test_a_refresh_finds_what_changed(store: Conversations, directory: ClientDirectory) -> None:
    assert not directory.any_made
    client = (await Clients(store.clients).create("app", Grant())).client
    await directory.refresh()
    assert directory.any_made
    assert directory.find(client.id) is not None
    await Clients(store.clients).revoke(client.id)
    await directory.refresh()
    assert directory.find(client.id) is None
    assert directory.any_made, "it was made"


async def test_a_flood_of_unknown_keys_is_few_looks(watched: Watched, directory: ClientDirectory) -> None:
    before = watched.looks
    for _ in range(2):
        await asyncio.gather(*(directory.refresh() for _ in range(1000)))
    assert watched.looks - before <= 4


async def test_what_others_change_is_learnt_without_being_asked(
    store: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_directory, "REFRESH_EVERY", 0.01)
    monkeypatch.setattr(client_directory, "PACE", 0.01)
    directory = ClientDirectory(store.clients)
    await directory.start()
    client = (await Clients(store.clients).create("app", Grant())).client
    async with asyncio.timeout(5):
        while directory.find(client.id) is None:
            await asyncio.sleep(0.01)
    await directory.close()


async def test_while_the_store_is_away_what_was_known_holds(watched: Watched, directory: ClientDirectory) -> None:
    client = (await Clients(watched.store.clients).create("app", Grant())).client
    await directory.refresh()
    watched.away = True
    with pytest.raises(StorageError):
        await directory.refresh()
    assert directory.find(client.id) is not None
    watched.away = False
    await directory.refresh()


async def test_a_store_that_hangs_is_not_waited_for_long(
    watched: Watched, directory: ClientDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def changed(after: int) -> Sequence[Client]:
        await asyncio.sleep(3600)
        return []

    monkeypatch.setattr(client_directory, "WAIT", 0.05)
    monkeypatch.setattr(watched, "changed", changed)
    with pytest.raises(StorageError):
        await directory.refresh()

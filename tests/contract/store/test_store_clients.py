"""The keys of clients, on every database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator_core.config.grants import Budget, Grant
from orchestrator_core.orchestration import clients as making
from orchestrator_core.orchestration.clients import Clients
from orchestrator_core.provider_api import Conflict, NotFound
from orchestrator_core.security.client_keys import digest_of
from orchestrator_core.sessions import clients as kept
from orchestrator_core.sessions.clients import Client
from orchestrator_core.sessions.store import SessionStore

GRANT = Grant(
    role="admin",
    providers=frozenset({"openai", "kimi"}),
    models=("openai/*", "kimi/k2"),
    requests_per_minute=7,
    session_requests_per_minute=3,
    budget=Budget(usd=1.5, tokens=2**40, period="day"),
)


async def test_a_client_is_kept_as_it_was_made(store: SessionStore) -> None:
    expires_at = datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    issued = await Clients(store.clients).create("app", GRANT, tenant="acme", expires_at=expires_at)
    read = await store.clients.get(issued.client.id)
    assert read == issued.client
    assert (read.name, read.tenant, read.grant, read.expires_at) == ("app", "acme", GRANT, expires_at)
    assert read.digest == digest_of(issued.key)
    assert issued.key not in repr(read)
    bare = (await Clients(store.clients).create("bare", Grant())).client
    assert await store.clients.get(bare.id) == bare
    assert (bare.tenant, bare.grant) == (bare.id, Grant())


async def test_an_unknown_client_is_not_found(store: SessionStore) -> None:
    for work in (store.clients.get("nobody"), Clients(store.clients).revoke("nobody")):
        with pytest.raises(NotFound):
            await work


async def test_names_are_those_of_one_client_until_it_is_revoked(store: SessionStore) -> None:
    clients = Clients(store.clients)
    first = (await clients.create("app", Grant())).client
    other = (await clients.create("other", Grant())).client
    with pytest.raises(Conflict):
        await clients.create("app", Grant())
    with pytest.raises(Conflict):
        await clients.update(other.id, lambda client: replace(client, name="app"))
    assert (await clients.update(first.id, lambda client: replace(client, grant=GRANT))).name == "app"
    await clients.revoke(first.id)
    assert (await clients.create("app", Grant())).client.id != first.id


async def test_what_is_revoked_stays_so(store: SessionStore) -> None:
    clients = Clients(store.clients)
    client = (await clients.create("app", Grant())).client
    revoked = await clients.revoke(client.id)
    assert revoked.revoked_at is not None
    for work in (
        clients.rotate(client.id),
        clients.revoke(client.id),
        clients.update(client.id, lambda known: known),
    ):
        with pytest.raises(NotFound, match="revoked"):
            await work
    assert await store.clients.get(client.id) == revoked


async def test_a_rotation_keeps_the_key_before_for_as_long_as_is_asked(store: SessionStore) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    clients = Clients(store.clients, lambda: now)
    first = await clients.create("app", Grant())
    second = await clients.rotate(first.client.id, timedelta(hours=1))
    assert second.client.digest == digest_of(second.key) != first.client.digest
    assert (second.client.previous_digest, second.client.previous_until) == (
        first.client.digest,
        now + timedelta(hours=1),
    )
    third = await clients.rotate(first.client.id)
    assert (third.client.previous_digest, third.client.previous_until) == (None, None)
    assert await store.clients.get(first.client.id) == third.client


async def test_what_changed_is_read_in_its_order(store: SessionStore) -> None:
    clients = Clients(store.clients)
    made = [(await clients.create(name, Grant())).client for name in "abc"]
    assert await store.clients.changed(0) == made
    revoked = await clients.revoke(made[0].id)
    assert await store.clients.changed(made[-1].revision) == [revoked]
    assert await store.clients.changed(revoked.revision) == []


async def test_those_who_write_at_once_get_revisions_of_their_own(store: SessionStore) -> None:
    clients = Clients(store.clients)
    made = await asyncio.gather(*(clients.create(f"app {number}", Grant()) for number in range(20)))
    changed = await store.clients.changed(0)
    assert sorted(client.revision for client in changed) == list(range(1, 21))
    assert {client.id for client in changed} == {issued.client.id for issued in made}


async def test_pages_are_in_order_and_leave_out_the_revoked(store: SessionStore) -> None:
    clients = Clients(store.clients)
    made = [(await clients.create(str(number), Grant())).client for number in range(5)]
    await clients.revoke(made[1].id)

    def names(found: list[Client]) -> list[str]:
        return [client.name for client in found]

    page = await store.clients.list(revoked=False, limit=2)
    assert (names(list(page.items)), page.has_more) == (["0", "2"], True)
    page = await store.clients.list(revoked=False, limit=2, offset=2)
    assert (names(list(page.items)), page.has_more) == (["3", "4"], False)
    assert names(list((await store.clients.list(revoked=True, limit=10)).items)) == list("01234")


async def test_there_is_a_most(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator_core.sessions.jobs.clients.MAX_CLIENTS", 2)
    assert kept.MAX_CLIENTS == 10_000
    clients = making.Clients(store.clients)
    first = (await clients.create("a", Grant())).client
    await clients.create("b", Grant())
    with pytest.raises(Conflict, match="most"):
        await clients.create("c", Grant())
    await clients.revoke(first.id)
    await clients.create("c", Grant())

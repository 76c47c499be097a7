"""What one process does for all: leases with what was found under them, and deleting what is kept no longer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator_core.provider_api import NotFound
from orchestrator_core.sessions.models import StoredReply
from orchestrator_core.sessions.store import SessionStore
from stores import MAX_IDLE, TENANT, Clock, ask, claim, talk, texts

DAY = timedelta(days=1)
REPLY = StoredReply(status=200, content_type="application/json", body=b"{}")


async def test_what_the_holder_of_a_lease_found_is_there_for_all(store: SessionStore) -> None:
    assert await store.finding("work") is None
    assert await store.lease("work", "one", 60)
    assert await store.finding("work") is None
    await store.leave_finding("work", "one", "all is well")
    await store.leave_finding("work", "another", "nothing is")
    assert not await store.lease("work", "another", 60)
    assert await store.finding("work") == "all is well"
    assert await store.lease("work", "one", 60), "renewed"
    assert await store.finding("work") == "all is well"


async def test_a_lease_that_is_given_up_is_free_at_once(store: SessionStore) -> None:
    await store.lease("work", "one", 60)
    await store.release("work", "another")
    assert not await store.lease("work", "another", 60)
    await store.release("work", "one")
    assert await store.lease("work", "another", 60)


async def test_a_finding_outlives_the_lease_until_the_next_holder_leaves_its_own(store: SessionStore) -> None:
    await store.lease("work", "one", -1)
    await store.leave_finding("work", "one", "old")
    assert await store.lease("work", "another", 60)
    assert await store.finding("work") == "old"
    await store.leave_finding("work", "one", "too late")
    assert await store.finding("work") == "old"


async def test_sessions_that_ended_are_kept_for_ever_where_nobody_says_otherwise(
    store: SessionStore, clock: Clock
) -> None:
    session = (await talk(store, "hello")).session.id
    clock.advance(timedelta(days=10_000))
    assert await store.purge_expired(None, limit=10) == 0
    assert await texts(store, session) == ["hello", "re: hello"]


async def test_sessions_that_ended_long_ago_are_deleted_with_all_that_belongs_to_them(
    store: SessionStore, clock: Clock
) -> None:
    first = await ask(store, "hello", idempotency_key="k")
    ended = first.session.id
    closed = (await talk(store, "bye", tenant="other")).session.id
    await store.update_session("other", closed, status="closed")
    clock.advance(MAX_IDLE + DAY - timedelta(minutes=1))
    assert await store.purge_expired(DAY, limit=10) == 1, "the closed one: it has not waited for its expiry"
    with pytest.raises(NotFound):
        await store.get_session("other", closed)
    young = (await talk(store, "young")).session.id
    clock.advance(timedelta(minutes=2))
    assert await store.purge_expired(DAY, limit=10) == 1
    with pytest.raises(NotFound):
        await store.history(TENANT, ended, limit=10)
    assert await texts(store, young) == ["young", "re: young"]
    assert (await store.totals(TENANT)).total_created == 2, "what was, was"


async def test_no_call_deletes_more_than_it_may(store: SessionStore, clock: Clock) -> None:
    for number in range(5):
        await talk(store, "hello", tenant=f"tenant-{number % 2}")
    clock.advance(MAX_IDLE + 2 * DAY)
    assert [await store.purge_expired(DAY, limit=2) for _ in range(4)] == [2, 2, 1, 0]


async def test_replies_are_deleted_when_their_keys_mean_nothing_any_more(store: SessionStore, clock: Clock) -> None:
    for key in ("a", "b", "c"):
        await store.settle(TENANT, key, await claim(store, key), REPLY)
    clock.advance(timedelta(hours=23))
    assert await store.purge_expired(None, limit=10) == 0
    assert await store.claim(TENANT, "a", "print") == REPLY
    clock.advance(timedelta(hours=2))
    assert [await store.purge_expired(None, limit=2) for _ in range(3)] == [2, 1, 0]


async def test_a_session_that_goes_on_is_not_deleted(store: SessionStore, clock: Clock) -> None:
    session = (await talk(store, "hello")).session.id
    for _ in range(3):
        clock.advance(MAX_IDLE - timedelta(minutes=1))
        await talk(store, "again", session)
    assert await store.purge_expired(timedelta(seconds=1), limit=10) == 0

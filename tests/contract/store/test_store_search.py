"""Sessions that are found by user, metadata, status and age, page by page."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator_core.sessions.jobs import finding
from orchestrator_core.sessions.models import SessionFilter
from orchestrator_core.sessions.store import SessionStore
from stores import MAX_IDLE, TENANT, Clock, talk


@pytest.fixture(params=[1000, 1], autouse=True)
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where few sessions have something in common, they are found in another way."""
    monkeypatch.setattr(finding, "FEW", request.param)


async def found(store: SessionStore, **fields: object) -> list[str]:
    """Return the ids of all sessions that match, read in pages of two by their cursors."""
    ids: list[str] = []
    after = None
    while True:
        page = await store.list_sessions(TENANT, limit=2, matching=SessionFilter(**fields), after=after)
        ids += [session.id for session in page.items]
        if not page.has_more:
            return ids
        after = (page.items[-1].created_at, page.items[-1].id)


async def test_metadata_are_searched_by_name_and_value(store: SessionStore, clock: Clock) -> None:
    data = [
        {"plan": "pro", "seats": 5, "beta": True},
        {"plan": "pro", "seats": 6, "deep": {"plan": "free"}},
        {"plan": "free", "seats": 5, "text": "x" * 257},
        {"plan": None},
        {},
    ]
    made = []
    for one in data:
        clock.advance(timedelta(seconds=1))
        made.append((await store.create_session(TENANT, user_id="ann", metadata=one)).id)
    await store.create_session("other", metadata={"plan": "pro"})

    assert await found(store, metadata={"plan": "pro"}) == [made[1], made[0]]
    assert await found(store, metadata={"plan": "pro", "seats": "5"}) == [made[0]]
    assert await found(store, metadata={"beta": "true", "plan": "pro", "seats": "5"}) == [made[0]]
    assert await found(store, metadata={"plan": "pro"}, user_id="bob") == []
    assert await found(store, metadata={"plan": "pro", "seats": "7"}) == []
    assert await found(store, metadata={"seats": "6", "plan": "pro"}, status="active") == [made[1]]
    assert await found(store, metadata={"seats": "6", "plan": "pro"}, status="closed") == []
    assert await found(store, metadata={"plan": "pro"}, user_id="ann") == [made[1], made[0]]
    assert await found(store, metadata={"plan": "null"}) == []
    assert await found(store, metadata={"text": "x" * 257}) == []
    await store.update_session(TENANT, made[1], metadata={"plan": "free"})
    assert await found(store, metadata={"plan": "pro"}) == [made[0]]
    assert await found(store, metadata={"plan": "free"}) == [made[2], made[1]]
    await store.delete_session(TENANT, made[2])
    assert await found(store, metadata={"plan": "free"}) == [made[1]]


async def test_sessions_are_found_by_what_has_become_of_them(store: SessionStore, clock: Clock) -> None:
    old = (await talk(store, "hello")).session.id
    shut = (await talk(store, "hello")).session.id
    await store.update_session(TENANT, shut, status="closed")
    clock.advance(MAX_IDLE + timedelta(seconds=1))
    new = (await talk(store, "hello")).session.id
    await talk(store, "more", new)

    assert await found(store, status="active") == [new]
    assert await found(store, status="expired") == [old]
    assert await found(store, status="closed") == [shut]
    assert sorted(await found(store, inactive_since=datetime.fromtimestamp(clock.now - 60, UTC))) == sorted([shut, old])
    assert await found(store, inactive_since=datetime.fromtimestamp(clock.now - 60, UTC), status="expired") == [old]


async def test_a_cursor_misses_nothing_and_repeats_nothing(store: SessionStore, clock: Clock) -> None:
    made = []
    for number in range(7):
        if number % 3:  # some of one microsecond
            clock.advance(timedelta(microseconds=1))
        made.append((await store.create_session(TENANT, user_id="ann", metadata={"n": "1"})).id)
    for fields in ({}, {"user_id": "ann"}, {"metadata": {"n": "1"}}, {"status": "active"}):
        ids = await found(store, **fields)
        assert sorted(ids) == sorted(made), fields
        assert len(set(ids)) == 7
    page = await store.list_sessions(TENANT, limit=3)
    await store.delete_session(TENANT, page.items[-1].id)
    await store.create_session(TENANT)
    after = (page.items[-1].created_at, page.items[-1].id)
    rest = await store.list_sessions(TENANT, limit=10, after=after)
    assert {one.id for one in (*page.items, *rest.items)} == set(made)


async def test_names_that_differ_in_secrets_alone_are_one_and_of_many_the_first_are_found(
    make_store: Callable[..., SessionStore],
) -> None:
    store = make_store(redact=lambda text: re.sub(r"sk-\w", "sk-*", text))
    await store.open()
    made = await store.create_session(TENANT, metadata={"sk-a": "x", "sk-b": "x"} | {f"n{n}": n for n in range(200)})
    assert await found(store, metadata={"sk-c": "x"}) == [made.id]
    assert await found(store, metadata={"n5": "5", "n90": "90"}) == [made.id]
    assert await found(store, metadata={"n150": "150"}) == []
    again = await store.update_session(TENANT, made.id, metadata={f"m{n}": n for n in range(200)})
    assert len(again.metadata) == 200
    assert await found(store, metadata={"m0": "0"}) == [made.id]
    await store.close()

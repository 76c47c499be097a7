from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator_core.provider_api import InvalidRequest, NotFound, RequestInFlight, SessionEnded
from orchestrator_core.sessions.bills import StoreTotals
from orchestrator_core.sessions.models import NewSummary, NewTurn, SessionFilter, StartedTurn, StoredReply
from orchestrator_core.sessions.store import SessionStore
from stores import MAX_IDLE, TENANT, Clock, answered, ask, claim, talk, texts, user


async def test_a_session_is_read_as_it_was_made(store: SessionStore, clock: Clock) -> None:
    metadata = {"plan": "pro", "nested": {"a": [1, None, "é\x00"]}}
    made = await store.create_session(TENANT, user_id="ann", metadata=metadata)

    assert made.status == "active"
    assert (made.message_count, made.summary, made.last_turn_at) == (0, None, None)
    assert made.metadata == metadata
    assert made.created_at.timestamp() == pytest.approx(clock.now, abs=1e-5)
    assert made.created_at.utcoffset() == timedelta(0)
    assert await store.get_session(TENANT, made.id) == made


async def test_sessions_are_listed_newest_first_in_pages(store: SessionStore, clock: Clock) -> None:
    made = []
    for number in range(5):
        clock.advance(timedelta(seconds=1))
        made.append((await store.create_session(TENANT, user_id="even" if number % 2 == 0 else "odd")).id)
    await store.create_session("other", user_id="even")

    first = await store.list_sessions(TENANT, limit=3)
    rest = await store.list_sessions(TENANT, limit=3, offset=3)
    of_user = await store.list_sessions(TENANT, limit=2, matching=SessionFilter(user_id="even"))

    assert [session.id for session in first.items] == made[:1:-1]
    assert first.has_more
    assert [session.id for session in rest.items] == made[1::-1]
    assert not rest.has_more
    assert [session.id for session in of_user.items] == [made[4], made[2]]
    assert of_user.has_more


async def test_metadata_is_replaced_and_the_rest_stays(store: SessionStore) -> None:
    made = await store.create_session(TENANT, user_id="ann", metadata={"a": 1})
    changed = await store.update_session(TENANT, made.id, metadata={"b": 2})

    assert changed.metadata == {"b": 2}
    assert changed.user_id == "ann"
    assert (await store.update_session(TENANT, made.id)).metadata == {"b": 2}


async def test_a_closed_session_takes_no_turn_and_is_read_on(store: SessionStore) -> None:
    session = (await talk(store, "hello")).session
    closed = await store.update_session(TENANT, session.id, status="closed")

    assert closed.status == "closed"
    with pytest.raises(SessionEnded) as caught:
        await ask(store, "more", session.id)
    assert (caught.value.code, caught.value.status) == ("session_closed", 410)
    assert await texts(store, session.id) == ["hello", "re: hello"]
    with pytest.raises(InvalidRequest):
        await store.update_session(TENANT, session.id, status="active")


async def test_a_session_expires_after_its_last_turn(store: SessionStore, clock: Clock) -> None:
    fresh = (await store.create_session(TENANT)).id
    session = (await talk(store, "hello")).session
    clock.advance(MAX_IDLE - timedelta(seconds=1))
    await talk(store, "again", session.id)
    clock.advance(timedelta(seconds=2))

    assert (await store.get_session(TENANT, fresh)).status == "expired"
    assert (await store.get_session(TENANT, session.id)).status == "active"
    assert (await store.totals(TENANT)).active == 1
    clock.advance(MAX_IDLE)
    with pytest.raises(SessionEnded) as caught:
        await ask(store, "too late", session.id)
    assert (caught.value.code, caught.value.status) == ("session_expired", 410)
    assert await texts(store, session.id) == ["hello", "re: hello", "again", "re: again"]


async def test_a_deleted_session_is_as_one_that_never_was(store: SessionStore) -> None:
    session = (await talk(store, "hello")).session
    await store.delete_session(TENANT, session.id)

    with pytest.raises(NotFound) as gone:
        await store.get_session(TENANT, session.id)
    with pytest.raises(NotFound) as never:
        await store.get_session(TENANT, "sess_never")
    assert gone.value.message == never.value.message
    with pytest.raises(NotFound):
        await store.delete_session(TENANT, session.id)


async def test_a_turn_whose_session_was_deleted_cannot_be_finished(store: SessionStore) -> None:
    started = await ask(store, "hello")
    await store.delete_session(TENANT, started.session.id)
    with pytest.raises(NotFound):
        await store.finish_turn(TENANT, started, answered())


async def test_totals_and_metrics(store: SessionStore, clock: Clock) -> None:
    assert await store.totals(TENANT) == StoreTotals(active=0, total_created=0, average_duration=0.0)
    session = (await talk(store, "one")).session
    clock.advance(timedelta(seconds=30))
    await talk(store, "two", session.id, provider="beta", duration=4.0, cost=None)
    other = await store.create_session(TENANT)
    await store.delete_session(TENANT, other.id)

    totals = await store.totals(TENANT)
    assert (totals.active, totals.total_created) == (1, 2)
    assert totals.average_duration == pytest.approx(15.0)
    metrics = await store.metrics(TENANT, session.id)
    assert metrics.message_count == 2
    assert metrics.providers_used == ["alpha", "beta"]
    assert metrics.total_tokens == 42
    assert metrics.total_cost == pytest.approx(0.25)
    assert metrics.average_response_time == pytest.approx(3.0)
    assert metrics.last_summary_at is None
    assert metrics.created_at == session.created_at


FOREIGN: dict[str, Callable[[SessionStore, str, str, StartedTurn], Awaitable[object]]] = {
    "get_session": lambda store, tenant, session, _: store.get_session(tenant, session),
    "update_session": lambda store, tenant, session, _: store.update_session(tenant, session, metadata={"x": 1}),
    "close": lambda store, tenant, session, _: store.update_session(tenant, session, status="closed"),
    "delete_session": lambda store, tenant, session, _: store.delete_session(tenant, session),
    "begin_turn": lambda store, tenant, session, _: ask(store, "intruding", session, tenant=tenant),
    "finish_turn": lambda store, tenant, _, turn: store.finish_turn(tenant, turn, answered("forged")),
    "history": lambda store, tenant, session, _: store.history(tenant, session, limit=10),
    "context": lambda store, tenant, session, _: store.context(tenant, session),
    "add_summary": lambda store, tenant, session, _: store.add_summary(
        tenant, session, NewSummary(text="forged", upto_sequence=1)
    ),
    "metrics": lambda store, tenant, session, _: store.metrics(tenant, session),
}


@pytest.mark.parametrize("method", FOREIGN)
async def test_another_tenant_finds_nothing(store: SessionStore, method: str) -> None:
    started = await ask(store, "private")
    session = await store.get_session(TENANT, started.session.id)

    with pytest.raises(NotFound) as foreign:
        await FOREIGN[method](store, "intruder", started.session.id, started)
    with pytest.raises(NotFound) as unknown:
        await FOREIGN[method](store, "intruder", "sess_never", replace(started, turn_id="turn_never"))

    assert foreign.value.message == unknown.value.message
    assert await store.get_session(TENANT, started.session.id) == session
    assert await texts(store, started.session.id) == ["private"]


async def test_another_tenant_has_lists_totals_and_keys_of_its_own(store: SessionStore) -> None:
    turn = NewTurn(messages=user("hello"), idempotency_key="same")
    mine = await store.begin_turn(TENANT, turn)
    theirs = await store.begin_turn("intruder", turn)
    since = await claim(store, "key")
    await store.settle(TENANT, "key", since, StoredReply(status=200, content_type="text/plain", body=b"private"))

    assert mine.session.id != theirs.session.id
    assert [item.id for item in (await store.list_sessions("intruder", limit=9)).items] == [theirs.session.id]
    assert (await store.totals("intruder")).total_created == 1
    await store.settle("intruder", "key", await claim(store, "key", tenant="intruder"), None)
    await claim(store, "key", tenant="intruder")
    with pytest.raises(RequestInFlight):
        await store.claim("intruder", "key", "print")

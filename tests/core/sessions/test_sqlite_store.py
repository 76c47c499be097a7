from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator_core.provider_api import (
    Adjustment,
    StorageBusy,
    StorageError,
    StorageFull,
    text_message,
)
from orchestrator_core.sessions import searching
from orchestrator_core.sessions.conversations import Conversations
from orchestrator_core.sessions.jobs.finding import Find
from orchestrator_core.sessions.models import NewSummary, NewTurn, SessionFilter, StoredReply
from orchestrator_core.sessions.steps import Steps, Transaction, one
from stores import TENANT, answered, ask, claim, sqlite_store, talk, texts

KEY = "sk-canary-4f9d1c0b7a"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the database as another process would."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.close()


async def test_conversations_survive_a_restart(path: Path) -> None:
    first = sqlite_store(path)
    await first.open()
    session = (await talk(first, "hello")).session
    pending = await ask(first, "unanswered", session.id, idempotency_key="k")
    await first.claim(TENANT, "claimed", "print")
    await first.close()

    second = sqlite_store(path)
    await second.open()
    page = await second.history(TENANT, session.id, limit=10)
    assert [(message.message.text, message.turn_state) for message in page.items] == [
        ("hello", "complete"),
        ("re: hello", "complete"),
        ("unanswered", "interrupted"),
    ]
    await claim(second, "claimed")
    again = await ask(second, "unanswered", session.id, idempotency_key="k")
    assert again.turn_id == pending.turn_id
    await second.close()


async def test_files_are_for_their_owner_alone(store: Conversations, path: Path) -> None:
    await talk(store, "hello")
    files = list(path.parent.iterdir())
    assert {file.name for file in files} == {f"store.db{end}" for end in ("", "-wal", "-shm", ".lock", ".turn")}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_every_write_is_synced(store: Conversations) -> None:
    def pragmas(connection: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "temp_store")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await store.database.writer.run(pragmas) == ["wal", 2, 1, 1, 2]


async def test_a_second_process_is_refused(store: Conversations, path: Path) -> None:
    second = sqlite_store(path, busy_timeout=0.1)
    with pytest.raises(StorageError, match="Another process"):
        await second.open()
    await talk(store, "the first serves on")


async def test_a_successor_waits_for_its_predecessor(store: Conversations, path: Path) -> None:
    second = sqlite_store(path, busy_timeout=5.0)
    opening = asyncio.create_task(second.open())
    await asyncio.sleep(0.1)
    await store.close()
    await opening
    await second.close()


async def test_a_locked_database_is_waited_for_and_recovers(store: Conversations, path: Path) -> None:
    session = (await talk(store, "hello")).session.id
    with locked(path):
        before = time.monotonic()
        outcomes = await asyncio.gather(ask(store, "a"), ask(store, "b"), store.ping(), return_exceptions=True)
        assert 0.9 < time.monotonic() - before < 1.9
        assert all(isinstance(outcome, StorageBusy) and outcome.retry_after for outcome in outcomes)
        assert await texts(store, session) == ["hello", "re: hello"]
    await talk(store, "again", session)
    assert (await store.totals(TENANT)).total_created == 1


async def test_a_lock_shorter_than_the_budget_is_not_noticed(store: Conversations, path: Path) -> None:
    with locked(path):
        task = asyncio.create_task(talk(store, "patient"))
        await asyncio.sleep(0.3)
        assert not task.done()
    assert (await task).session.message_count == 1


async def test_a_full_disk_is_told_and_reads_go_on(store: Conversations) -> None:
    def limit(connection: sqlite3.Connection, pages: int = 1) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    session = (await talk(store, "hello")).session.id
    await store.database.writer.run(limit)
    outcomes = await asyncio.gather(*(ask(store, "x" * 50_000) for _ in range(5)), store.ping(), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageFull] * 6
    assert await texts(store, session) == ["hello", "re: hello"]
    assert (await store.totals(TENANT)).total_created == 1

    await store.database.writer.run(lambda connection: limit(connection, 1_000_000))
    await store.ping()
    await talk(store, "again", session)


async def test_callers_that_leave_at_any_point_leave_no_pending_turn(store: Conversations) -> None:
    for delay in [0.0, 0.0002, 0.0005, 0.001, 0.002] * 6:
        session = (await store.create_session(TENANT)).id
        task = asyncio.create_task(ask(store, "left", session, idempotency_key=f"k{session}"))
        claiming = asyncio.create_task(store.claim(TENANT, session, "print"))
        await asyncio.sleep(delay)
        outcome = []
        for left in (task, claiming):
            left.cancel()
            outcome.append(await asyncio.gather(left, return_exceptions=True))
        await store.ping()
        if isinstance(outcome[0][0], asyncio.CancelledError):
            assert (await talk(store, "next", session)).session.status == "active"
        if isinstance(outcome[1][0], asyncio.CancelledError):
            await claim(store, session)


async def test_deleted_text_is_in_no_file(store: Conversations, path: Path) -> None:
    word, other = "quetzalcoatlus", "archaeopteryx"
    kept = (await talk(store, other)).session.id
    since = await claim(store, "k")
    started = await ask(store, word * 3, idempotency_key="k", metadata={"m": word}, user_id="ann")
    session = started.session.id
    await store.finish_turn(TENANT, started, answered(word * 2000))
    await store.settle(TENANT, "k", since, StoredReply(status=200, content_type="text/plain", body=word.encode()))
    await store.add_summary(TENANT, session, NewSummary(text=word, upto_sequence=2))
    assert word.encode() in contents(path)

    await store.delete_session(TENANT, session)
    assert word.encode() not in contents(path)
    assert other.encode() in contents(path)
    assert await texts(store, kept) == [other, f"re: {other}"]


async def test_deleted_text_goes_when_a_foreign_reader_has_ended(store: Conversations, path: Path) -> None:
    word = b"quetzalcoatlus"
    session = (await talk(store, word.decode())).session.id
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as foreign:
        foreign.execute("BEGIN")
        foreign.execute("SELECT * FROM messages").fetchall()
        await store.delete_session(TENANT, session)
        assert word in contents(path)
    await asyncio.sleep(1.0)
    await store.ping()
    assert word not in contents(path)


def contents(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


async def test_a_known_secret_never_reaches_a_file(path: Path) -> None:
    store = sqlite_store(path, redact=lambda text: text.replace(KEY, "****"))
    await store.open()
    since = await claim(store, KEY)
    started = await store.begin_turn(
        TENANT,
        NewTurn(
            messages=[text_message("user", f'my key is "{KEY}"')],
            user_id=KEY,
            metadata={KEY: KEY},
            idempotency_key=KEY,
        ),
    )
    session = started.session.id
    dropped = (Adjustment("x", "dropped", KEY),)
    ended = await store.finish_turn(TENANT, started, answered(f"you said {KEY}", adjustments=dropped))
    assert ended.answer is not None
    assert ended.answer.message.text == "you said ****"
    await store.settle(TENANT, KEY, since, StoredReply(status=200, content_type="text/plain", body=KEY.encode()))
    await store.add_summary(TENANT, session, NewSummary(text=KEY, upto_sequence=2))
    await store.update_session(TENANT, session, metadata={"k": KEY})

    assert KEY.encode() not in contents(path)
    assert await texts(store, session) == ['my key is "****"', "you said ****"]
    assert (await store.get_session(TENANT, session)).user_id == "****"
    assert len((await store.list_sessions(TENANT, limit=5, matching=SessionFilter(user_id=KEY))).items) == 1
    await store.close()
    assert KEY.encode() not in contents(path)


async def test_a_closed_store_says_so(path: Path) -> None:
    store = sqlite_store(path)
    with pytest.raises(StorageError, match="closed"):
        await store.ping()
    await store.open()
    await store.close()
    await store.close()
    with pytest.raises(StorageError, match="closed"):
        await store.get_session(TENANT, "sess_x")


@pytest.fixture
def damaged(path: Path) -> Path:
    path.write_bytes(b"no database " * 1000)
    return path


async def test_a_damaged_file_is_told(damaged: Path) -> None:
    store = sqlite_store(damaged)
    with pytest.raises(StorageError, match="not a database"):
        await store.open()
    healthy = sqlite_store(damaged.with_name("another.db"))
    await healthy.open()
    await healthy.close()


async def test_what_a_dead_process_had_leased_is_free(path: Path) -> None:
    for holder in ("first", "second"):
        opened = sqlite_store(path)
        await opened.open()
        assert await opened.lease("summary/s", holder, 60.0)
        await opened.close()


def endless() -> Steps[object]:
    """Read without an end."""
    return (yield from one("WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"))


async def test_what_nobody_waits_for_is_read_no_further(store: Conversations) -> None:
    session = (await talk(store, "hello")).session.id
    for _ in range(3):  # more than there are threads
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await store.database.read(endless)

    assert (await store.get_session(TENANT, session)).id == session


async def test_searches_wait_for_one_another_and_keep_nobody_else(
    store: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "SEARCH_WITHIN", 0.3)
    session = (await talk(store, "hello")).session.id
    read, begun = store.database.read, list[str]()

    async def slowly(transaction: Transaction[Any]) -> Any:
        if isinstance(transaction, Find) and transaction.status:
            begun.append(transaction.status)
            return await read(endless)
        return await read(transaction)

    monkeypatch.setattr(store.database, "read", slowly)
    search = SessionFilter(status="active")
    searches = [asyncio.create_task(store.list_sessions(TENANT, limit=1, matching=search)) for _ in range(5)]
    await asyncio.sleep(0.05)

    assert begun == ["active"]
    for matching in (SessionFilter(), SessionFilter(user_id="ann"), SessionFilter(metadata={"a": "b"})):
        await store.list_sessions(TENANT, limit=1, matching=matching)
    assert (await store.get_session(TENANT, session)).id == session
    came = await asyncio.gather(*searches, return_exceptions=True)
    assert [type(error) for error in came] == [StorageBusy] * 5
    assert "search took too long" in str(came[0])


async def test_the_searches_of_one_tenant_do_not_take_all_the_turns(
    store: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "SEARCH_WITHIN", 0.2)
    read, begun = store.database.read, list[str]()

    async def slowly(transaction: Transaction[Any]) -> Any:
        if isinstance(transaction, Find):
            begun.append(transaction.tenant)
            if transaction.tenant == "greedy":
                return await read(endless)
        return await read(transaction)

    monkeypatch.setattr(store.database, "read", slowly)
    search = SessionFilter(status="active")
    greedy = [asyncio.create_task(store.list_sessions("greedy", limit=1, matching=search)) for _ in range(8)]
    await asyncio.sleep(0.05)

    await store.list_sessions(TENANT, limit=1, matching=search)

    assert begun.index(TENANT) == 1
    came = await asyncio.gather(*greedy, return_exceptions=True)
    assert [type(error) for error in came] == [StorageBusy] * 8

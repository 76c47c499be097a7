from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest

from databases import PostgresServer, postgres_server
from orchestrator_core.provider_api import Conflict, NotFound, RequestInFlight, SessionBusy, StorageBusy, StorageError
from orchestrator_core.sessions.conversations import Conversations
from orchestrator_core.sessions.databases import postgres as module
from orchestrator_core.sessions.databases import postgres_sql
from orchestrator_core.sessions.databases.identity import dead_among, process_identity
from orchestrator_core.sessions.databases.postgres import PostgresDatabase
from orchestrator_core.sessions.databases.postgres_sql import to_postgres, together
from orchestrator_core.sessions.jobs import processes, statements
from orchestrator_core.sessions.jobs.idempotency import Claim, digest
from orchestrator_core.sessions.jobs.rows import micros, micros_of
from orchestrator_core.sessions.models import FinishedTurn, NewTurn, StoredReply
from orchestrator_core.sessions.schema import HEAD
from orchestrator_core.sessions.steps import Query, Steps, Transaction, rows, write
from stores import MAX_IDLE, TENANT, answered, ask, claim, talk, texts, user


@pytest.fixture
async def url(postgres: PostgresServer) -> str:
    return await postgres.migrated()


@asynccontextmanager
async def serving(url: str, *, budget: float = 5.0, connections: int = 5) -> AsyncIterator[Conversations]:
    store = Conversations(PostgresDatabase(url, connections=connections, budget=budget), max_idle=MAX_IDLE)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def fetch(url: str, sql: str, *values: object) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql, *values)]
    finally:
        await connection.close()


async def test_an_empty_database_is_made_ready(postgres: PostgresServer) -> None:
    url = await postgres.empty()
    async with serving(url) as store:
        await talk(store, "hello")
    assert await fetch(url, "SELECT version_num FROM alembic_version") == [(HEAD,)]


async def test_several_that_start_together_make_the_schema_once(postgres: PostgresServer) -> None:
    url = await postgres.empty()
    async with AsyncExitStack() as stack:
        stores = await asyncio.gather(*(stack.enter_async_context(serving(url)) for _ in range(3)))
        await asyncio.gather(*(talk(store, "hello") for store in stores))
    assert await fetch(url, "SELECT count(*) FROM sessions") == [(3,)]


async def test_an_older_schema_is_the_operators_to_upgrade(url: str) -> None:
    await fetch(url, "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(StorageError, match="orchestrator db upgrade"):
        await Conversations(PostgresDatabase(url, connections=1, budget=1.0), max_idle=MAX_IDLE).open()


async def test_a_newer_schema_and_a_foreign_database_are_left_alone(postgres: PostgresServer, url: str) -> None:
    await fetch(url, "UPDATE alembic_version SET version_num = '9999'")
    foreign = await postgres.empty()
    await fetch(foreign, "CREATE TABLE messages (x int)")
    for address, said in ((url, "Upgrade the gateway"), (foreign, "another program")):
        with pytest.raises(StorageError, match=said):
            await Conversations(PostgresDatabase(address, connections=1, budget=1.0), max_idle=MAX_IDLE).open()


async def test_nobody_listening_is_told_without_the_password() -> None:
    database = PostgresDatabase("postgresql://u:hunter2@127.0.0.1:1/db", connections=1, budget=1.0)
    with pytest.raises(StorageError, match="PostgreSQL cannot be used") as caught:
        await Conversations(database, max_idle=MAX_IDLE).open()
    assert "hunter2" not in str(caught.value)


async def test_two_processes_make_one_linear_history(url: str) -> None:
    async with serving(url) as one, serving(url) as two:
        session = (await talk(one, "start")).session.id

        async def write(store: Conversations, name: str) -> None:
            for number in range(6):
                while True:
                    try:
                        await talk(store, f"{name}{number}", session)
                        break
                    except SessionBusy:
                        await asyncio.sleep(0.005)

        writers = [write(store, f"{name}{index}-") for index in range(3) for name, store in (("a", one), ("b", two))]
        await asyncio.gather(*writers)
        said = await texts(two, session)
    assert len(said) == 2 + 2 * 36
    assert max(Counter(said).values()) == 1
    assert all(answer == f"re: {question}" for question, answer in zip(said[::2], said[1::2], strict=True))


async def test_one_idempotency_key_is_one_turn_for_all_processes(url: str) -> None:
    turn = NewTurn(messages=user("once"), idempotency_key="k")
    async with serving(url) as one, serving(url) as two:
        tries = [store.begin_turn(TENANT, turn) for store in (one, two) for _ in range(10)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        claims = [store.claim(TENANT, "c", "print") for store in (one, two) for _ in range(10)]
        claimed = await asyncio.gather(*claims, return_exceptions=True)
    assert Counter(type(outcome) for outcome in outcomes)[RequestInFlight] == 19
    assert Counter(type(outcome) for outcome in claimed) == {RequestInFlight: 19, int: 1}
    assert await fetch(url, "SELECT (SELECT count(*) FROM turns), (SELECT count(*) FROM sessions)") == [(1, 1)]


async def test_what_a_dead_process_left_is_put_in_order(url: str) -> None:
    async with serving(url) as lives:
        lost = await ask(lives, "one", idempotency_key="k")
        await lives.claim(TENANT, "c", "print")
        kept = await ask(lives, "two")
        gone = "elsewhere|1|2|dead"
        await fetch(url, "INSERT INTO processes VALUES ($1, 0, 0)", gone)
        await fetch(url, "UPDATE turns SET process_id = $1 WHERE id = $2", gone, lost.turn_id)
        await fetch(url, "UPDATE idempotency SET process_id = $1", gone)
        with pytest.raises(SessionBusy):
            await ask(lives, "again", lost.session.id)

        await lives.database.write(partial(processes.beat, lives.database.process_id, 10.0, ()))
        with pytest.raises(SessionBusy):  # a process that has just come does not judge others
            await ask(lives, "again", lost.session.id)
        await fetch(url, "UPDATE processes SET since = 0 WHERE id = $1", lives.database.process_id)
        await lives.database.write(partial(processes.beat, lives.database.process_id, 10.0, ()))

        page = await lives.history(TENANT, lost.session.id, limit=10)
        assert [message.turn_state for message in page.items] == ["interrupted"]
        assert (await lives.history(TENANT, kept.session.id, limit=10)).items[0].turn_state == "pending"
        await claim(lives, "c")
        await ask(lives, "again", lost.session.id)


async def test_what_a_dead_process_had_leased_is_free(url: str) -> None:
    async with serving(url) as lives:
        async with serving(url) as dies:
            assert await dies.lease("summary/s", "dies", 60.0)
            assert not await lives.lease("summary/s", "lives", 60.0)
        assert await lives.lease("summary/s", "lives", 60.0)


async def test_an_answer_that_comes_late_counts_where_nobody_went_on(url: str) -> None:
    async with serving(url) as store:
        first, second = await ask(store, "one"), await ask(store, "two")
        await fetch(url, "UPDATE turns SET state = 'interrupted', error_code = 'process_ended'")
        finished = await store.finish_turn(TENANT, first, answered("late"))
        assert finished.answer is not None
        await talk(store, "three", second.session.id)
        with pytest.raises(Conflict):
            await store.finish_turn(TENANT, second, answered("too late"))
        assert await texts(store, second.session.id) == ["two", "three", "re: three"]


async def take_for_dead(url: str, store: Conversations, by: Conversations) -> None:
    """Have a process buried that lives."""
    await fetch(url, "DELETE FROM processes WHERE id = $1", store.database.process_id)
    await by.database.write(partial(processes.beat, by.database.process_id, 10.0, ()))


async def test_who_took_a_turn_over_has_the_last_word(url: str) -> None:
    async with serving(url) as paused, serving(url) as other:
        first = await ask(paused, "one", idempotency_key="k")
        await take_for_dead(url, paused, other)
        second = await ask(other, "one", first.session.id, idempotency_key="k")
        assert second.turn_id == first.turn_id
        with pytest.raises(Conflict):
            await paused.finish_turn(TENANT, first, answered("of the paused one"))
        await other.finish_turn(TENANT, second, answered("of the other"))
        with pytest.raises(Conflict):
            await paused.finish_turn(TENANT, first, answered("of the paused one"))
        assert await texts(other, first.session.id) == ["one", "of the other"]


async def test_who_lost_a_claim_neither_frees_nor_settles_it(url: str) -> None:
    async with serving(url) as paused, serving(url) as other:
        lost = await claim(paused, "k")
        await take_for_dead(url, paused, other)
        since = await claim(other, "k")
        await paused.settle(TENANT, "k", lost, None)
        await paused.settle(TENANT, "k", lost, StoredReply(status=200, content_type="text/plain", body=b"paused"))
        with pytest.raises(RequestInFlight):
            await paused.claim(TENANT, "k", "print")
        await other.settle(TENANT, "k", since, StoredReply(status=200, content_type="text/plain", body=b"other"))
        reply = await paused.claim(TENANT, "k", "print")
        assert reply is not None
        assert reply.body == b"other"


async def test_who_claims_an_old_key_anew_takes_no_newer_claim(url: str) -> None:
    async with serving(url) as one, serving(url) as two:
        await claim(one, "k")
        await fetch(url, "UPDATE idempotency SET created_at = 0")
        hour = micros(timedelta(hours=1))
        job = Claim(TENANT, digest("k"), "print", two.database.now(), hour, hour, two.database.process_id)

        def slow() -> Steps[StoredReply | int]:
            steps = job()
            found: Any = yield next(steps)
            yield from rows("SELECT pg_sleep(0.5)")
            while True:
                try:
                    query = steps.send(found)
                except StopIteration as end:
                    came: StoredReply | int = end.value
                    return came
                found = yield query

        claiming = asyncio.create_task(two.database.write(slow))
        await asyncio.sleep(0.2)
        await claim(one, "k")
        with pytest.raises(RequestInFlight):
            await claiming


@asynccontextmanager
async def locked_elsewhere(url: str, session_id: str) -> AsyncIterator[None]:
    """Hold the lock of a session from outside, as a process does that has stopped in the middle of a transaction."""
    foreign = await asyncpg.connect(url)
    try:
        await foreign.execute("BEGIN")
        await foreign.execute("SELECT 1 FROM sessions WHERE id = $1 FOR UPDATE", session_id)
        yield
    finally:
        await foreign.close()


async def test_who_waits_for_a_session_holds_up_no_other(url: str) -> None:
    async with serving(url, connections=2) as store:
        hot, other = [(await talk(store, "one")).session.id for _ in range(2)]
        async with locked_elsewhere(url, hot):
            waiting = [asyncio.create_task(store.update_session(TENANT, hot, metadata={"n": n})) for n in range(20)]
            waiting += [asyncio.create_task(talk(store, f"waits {n}", hot)) for n in range(10)]
            await asyncio.sleep(0)
            for turn in range(10):
                await talk(store, f"goes on {turn}", other)
            assert not any(task.done() for task in waiting)
        await asyncio.gather(*waiting[:20])
        said = await asyncio.gather(*waiting[20:], return_exceptions=True)
        assert all(isinstance(one, FinishedTurn | SessionBusy) for one in said)


async def test_who_waits_for_a_session_keeps_no_connection(url: str) -> None:
    at_work = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'orchestrator' AND state <> 'idle'
    """
    async with serving(url, connections=8) as store:
        session = (await talk(store, "one")).session.id
        async with locked_elsewhere(url, session):
            waiting = [asyncio.create_task(store.update_session(TENANT, session, metadata={"n": n})) for n in range(8)]
            await asyncio.sleep(3 * module.LOCK_WAIT)
            for _ in range(10):
                [(busy,)] = await fetch(url, at_work)
                assert busy <= 1
                await asyncio.sleep(0.02)
        await asyncio.gather(*waiting)


async def test_a_caller_that_leaves_the_line_lets_the_next_one_on(url: str) -> None:
    async with serving(url, connections=2) as store:
        session = (await talk(store, "one")).session.id
        async with locked_elsewhere(url, session):
            waiting = [asyncio.create_task(ask(store, f"waits {n}", session)) for n in range(3)]
            await asyncio.sleep(2 * module.LOCK_WAIT)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(5):
            while True:
                try:
                    await talk(store, "next", session)
                    break
                except SessionBusy:
                    await asyncio.sleep(0.01)


async def test_the_server_ends_what_waits_for_a_lock_too_long(url: str) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with serving(url, budget=0.5) as store:
        session = (await talk(store, "one")).session.id
        foreign = await asyncpg.connect(url)
        try:
            await foreign.execute("BEGIN")
            await foreign.execute("SELECT 1 FROM sessions FOR UPDATE")
            patches = [store.update_session(TENANT, session, metadata={"n": n}) for n in range(12)]
            outcomes = await asyncio.gather(*patches, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} <= {StorageBusy, StorageError}
            assert await fetch(url, waiting) == [(0,)]
            await talk(store, "another session is not held up")
        finally:
            await foreign.close()
        await store.update_session(TENANT, session, metadata={"n": 1})


async def test_a_transaction_whose_client_is_silent_is_ended_by_the_server(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE", 0.2)
    async with serving(url) as store:
        assert isinstance(store.database, PostgresDatabase)
        assert store.database._pool is not None
        async with store.database._pool.acquire() as connection:
            await connection.execute("BEGIN")
            await connection.execute("SELECT 1 FROM sessions FOR UPDATE")
            await asyncio.sleep(0.6)
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await connection.execute("SELECT 1")


async def test_processes_of_this_machine_are_seen_to_be_dead_at_once() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys; sys.path[:0] = sys.argv[1:];"
        "from orchestrator_core.sessions.databases.identity import process_identity as p; print(p(), flush=True);"
        "sys.stdin.read()",
        *filter(None, sys.path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    other = (await process.stdout.readline()).decode().strip()
    mine = process_identity()
    assert dead_among([mine, other, "elsewhere|ns|1|2|x"]) == []
    process.kill()
    await process.wait()
    assert dead_among([mine, other, "elsewhere|ns|1|2|x"]) == [other]


@pytest.fixture
def a_month_ahead(monkeypatch: pytest.MonkeyPatch) -> Iterator[timedelta]:
    """Have the server's clock run ahead of this machine's."""
    ahead = timedelta(days=30)
    monkeypatch.setattr(postgres_sql, "_NOW", f"({postgres_sql._NOW} + {micros(ahead)})")
    to_postgres.cache_clear()
    yield ahead
    to_postgres.cache_clear()


async def test_ages_go_by_the_servers_clock(url: str, a_month_ahead: timedelta) -> None:
    async with serving(url) as store:
        session = (await talk(store, "one", (await store.create_session(TENANT)).id)).session
        (message, _) = (await store.history(TENANT, session.id, limit=2)).items
        there = datetime.now(UTC) + a_month_ahead
        for told in (session.created_at, session.last_turn_at, message.created_at):
            assert told is not None
            assert abs(there - told) < timedelta(minutes=5)
        assert (await store.get_session(TENANT, session.id)).status == "active"
        long_ago = there - 2 * MAX_IDLE
        await fetch(url, "UPDATE sessions SET created_at = $1, last_turn_at = $1, active_at = $1", micros_of(long_ago))
        assert (await store.get_session(TENANT, session.id)).status == "expired"


async def test_the_servers_clock_is_asked_again_and_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_EVERY", 0.05)
    async with serving(url) as store:
        assert isinstance(store.database, PostgresDatabase)
        store.database._clock.ahead += 3600 * 10**9
        async with asyncio.timeout(5):
            while abs(store.database.now() / 1e6 - time.time()) > 60:
                await asyncio.sleep(0.01)


async def test_a_smaller_fence_is_refused(url: str) -> None:
    async with serving(url) as store:
        session = (await talk(store, "one")).session.id
        newer = await store.begin_turn(TENANT, NewTurn(messages=user("two"), session_id=session, fence=7))
        await store.finish_turn(TENANT, newer, answered())
        with pytest.raises(SessionBusy, match="in between"):
            await store.begin_turn(TENANT, NewTurn(messages=user("late"), session_id=session, fence=6))
        await store.begin_turn(TENANT, NewTurn(messages=user("three"), session_id=session, fence=7))


async def test_a_server_that_went_away_is_waited_for_and_found_again() -> None:
    with postgres_server() as server:
        url = await server.migrated()
        async with serving(url, budget=1.0) as store:
            session = (await talk(store, "before")).session.id
            begun = await ask(store, "during", session)
            server.kill()
            with pytest.raises(StorageError):
                await store.finish_turn(TENANT, begun, answered())
            with pytest.raises(StorageError):
                await store.get_session(TENANT, session)
            await asyncio.to_thread(server.start)
            await store.finish_turn(TENANT, begun, answered("re: during"))
            await talk(store, "after", session)
            assert await texts(store, session) == ["before", "re: before", "during", "re: during", "after", "re: after"]


async def test_a_commit_of_unknown_end_is_undone(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(url) as store:
        session = (await talk(store, "one")).session.id
        commit = asyncpg.transaction.Transaction.commit

        async def broken(self: asyncpg.transaction.Transaction) -> None:
            await commit(self)
            raise ConnectionResetError

        monkeypatch.setattr(asyncpg.transaction.Transaction, "commit", broken)
        with pytest.raises(StorageError):
            await ask(store, "two", session)
        monkeypatch.undo()
        async with asyncio.timeout(5):
            while (await store.history(TENANT, session, limit=10)).items[-1].turn_state == "pending":
                await asyncio.sleep(0.01)
        await talk(store, "three", session)


async def test_what_undoes_one_try_leaves_the_next_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may be away until a client has come again with its key."""
    undone = list[Transaction[Any]]()

    async def broken(self: asyncpg.transaction.Transaction) -> None:
        await self.rollback()
        raise ConnectionResetError

    async with serving(url) as store:
        session = (await talk(store, "zero")).session.id
        with monkeypatch.context() as patch:
            patch.setattr(asyncpg.transaction.Transaction, "commit", broken)
            patch.setattr(store.database, "undo", undone.append)
            with pytest.raises(StorageError):
                await ask(store, "one", session, idempotency_key="k")
        again = await ask(store, "one", session, idempotency_key="k")
        for step in undone:
            await store.database.write(step)
        await store.finish_turn(TENANT, again, answered("re: one"))
        assert await texts(store, session) == ["zero", "re: zero", "one", "re: one"]
    assert undone


async def test_who_gives_up_a_read_at_its_end_has_given_it_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at_end = asyncio.Event()

    async def slow(_: asyncpg.transaction.Transaction) -> None:
        at_end.set()
        await asyncio.sleep(60)

    async with serving(url) as store:
        session = (await talk(store, "one")).session.id
        monkeypatch.setattr(asyncpg.transaction.Transaction, "commit", slow)
        reading = asyncio.create_task(store.get_session(TENANT, session))
        await at_end.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        monkeypatch.undo()


async def test_a_read_whose_connection_breaks_at_its_end_is_run_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(url) as store:
        session = (await talk(store, "one")).session.id

        async def broken(_: asyncpg.transaction.Transaction) -> None:
            monkeypatch.undo()
            raise ConnectionResetError

        monkeypatch.setattr(asyncpg.transaction.Transaction, "commit", broken)
        assert (await store.get_session(TENANT, session)).id == session


async def test_a_turn_asks_the_server_no_oftener_than_it_needs_an_answer(
    postgres: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BEAT_EVERY", 3600.0)
    database = url.partition("?")[0].rpartition("/")[2]
    async with serving(url) as store:
        session = (await talk(store, "before")).session.id
    await fetch(url, f"ALTER DATABASE {database} SET log_statement = 'all'")
    async with serving(url) as store:
        before = postgres.log.stat().st_size
        await talk(store, "counted", session)
        between = postgres.log.stat().st_size
        await talk(store, "by a process that knows what was said", session)
        logged = postgres.log.read_bytes()
    for turn, asked in ((logged[before:between], 6), (logged[between:], 4)):
        assert turn.count(b" execute ") == asked
        assert turn.count(b" statement: BEGIN") == turn.count(b" statement: COMMIT") == 2


async def test_a_turn_of_more_messages_than_are_sent_at_once_is_kept_in_order(url: str) -> None:
    said = [f"message {number}" for number in range(50)]
    async with serving(url) as store:
        started = await store.begin_turn(TENANT, NewTurn(messages=[user(text)[0] for text in said]))
        finished = await store.finish_turn(TENANT, started, answered("the answer"))
        assert [stored.message.text for stored in started.messages] == said
        assert await texts(store, finished.session.id) == [*said, "the answer"]
        assert (await store.metrics(TENANT, finished.session.id)).message_count == 50


async def test_what_was_put_off_is_taken_back_with_its_transaction(url: str) -> None:
    def fails() -> Steps[None]:
        yield from write(statements.ADD_PROCESS, "somebody")
        yield from write("INSERT INTO leases (name, holder, until, process_id) VALUES (?, ?, ?, ?)", "n", "h", 1, "p")
        assert (yield from rows("SELECT name FROM leases")) == [("n",)]
        raise Conflict("too late")

    async with serving(url) as store:
        with pytest.raises(Conflict):
            await store.database.write(fails)
        assert await fetch(url, "SELECT count(*) FROM leases") == [(0,)]


async def test_callers_that_leave_leave_no_pending_turn(url: str) -> None:
    async with serving(url) as store:
        session = (await talk(store, "one")).session.id
        for steps in range(12):
            task = asyncio.create_task(ask(store, f"left {steps}", session))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with asyncio.timeout(5):
                while True:
                    try:
                        await talk(store, f"next {steps}", session)
                        break
                    except SessionBusy:
                        await asyncio.sleep(0.005)


async def test_a_transaction_that_loses_is_run_again(url: str) -> None:
    tries = 0

    def transaction() -> Steps[None]:
        nonlocal tries
        tries += 1
        yield Query("INSERT INTO leases VALUES (?, 'h', 0, 'p')", (f"name {min(tries, 2)}",))

    async with serving(url) as store:
        await fetch(url, "INSERT INTO leases VALUES ('name 1', 'h', 0, 'p')")
        await store.database.write(transaction)
    assert tries == 2


async def test_more_work_than_connections_waits_in_line_or_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_WITHIN", 0.2)

    def slow() -> Steps[None]:
        yield Query("SELECT pg_sleep(0.1)")

    async with serving(url, connections=1, budget=0.3) as store:
        outcomes = await asyncio.gather(*(store.database.write(slow) for _ in range(12)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if outcome is not None]
    assert 1 <= len(refused) < 12
    assert all(isinstance(outcome, StorageError) for outcome in refused)


def test_statements_get_the_marks_of_postgresql() -> None:
    assert to_postgres("a = ? AND b = ?") == "a = $1 AND b = $2"
    assert to_postgres("a = ?2 AND b = ?1") == "a = $2 AND b = $1"
    assert to_postgres("SELECT id FROM turns INDEXED BY turns_session") == "SELECT id FROM turns"
    assert "clock_timestamp" in to_postgres("SELECT now_micros()")
    assert together(("a = ?", "b = ? AND c = ?")) == "WITH w0 AS (a = $1) b = $2 AND c = $3"


async def test_a_process_sees_what_others_did_to_a_session_that_it_remembers(url: str) -> None:
    async with serving(url) as one, serving(url) as two:
        session = (await talk(one, "0")).session.id
        interrupted = await ask(one, "1", session, idempotency_key="key")
        await one.finish_turn(TENANT, interrupted, answered("half", state="interrupted"))
        again = await ask(two, "1", session, idempotency_key="key")
        await two.finish_turn(TENANT, again, answered("whole"))
        for number, store in enumerate((one, one, two, one, two, two), start=2):
            started = await ask(store, str(number), session)
            stored = await store.context(TENANT, session)
            assert list(started.messages) == list(stored.messages)
            await store.finish_turn(TENANT, started, answered(f"re: {number}"))
        assert (await texts(two, session))[:4] == ["0", "re: 0", "1", "whole"]
        await two.delete_session(TENANT, session)
        with pytest.raises(NotFound):
            await ask(one, "on", session)
        assert len(one.recent) == 0

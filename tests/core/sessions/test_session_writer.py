from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestrator_core.provider_api import NotFound, StorageBusy, StorageError
from orchestrator_core.sessions.databases.reader import Reader
from orchestrator_core.sessions.databases.sqlite_connection import connect_reader, connect_writer
from orchestrator_core.sessions.databases.writer import BATCH, Writer
from orchestrator_core.sessions.steps import Sum

Log = list[str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "lines.db"
    file.touch()
    return file


@pytest.fixture
def log() -> Log:
    return []


@pytest.fixture
async def writer(path: Path, log: Log) -> AsyncIterator[Writer]:
    def connect() -> sqlite3.Connection:
        connection = connect_writer(path)
        connection.execute("CREATE TABLE lines (text TEXT UNIQUE)")
        connection.set_trace_callback(log.append)
        return connection

    writer = Writer("test-writer", connect, capacity=200, budget=1.0)
    await writer.start()
    yield writer
    await writer.stop()


def add(text: str) -> Callable[[sqlite3.Connection], str]:
    def job(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO lines VALUES (?)", (text,))
        return text

    return job


def take_out(text: str) -> Callable[[sqlite3.Connection], object]:
    return lambda connection: connection.execute("DELETE FROM lines WHERE text = ?", (text,))


def lines(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [text for (text,) in connection.execute("SELECT text FROM lines ORDER BY rowid")]
    finally:
        connection.close()


class Gate:
    """A job that keeps the thread until it is opened."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self, _connection: sqlite3.Connection) -> None:
        self.entered.set()
        assert self.open.wait(5)

    async def close(self, writer: Writer) -> asyncio.Task[None]:
        task = asyncio.create_task(writer.run(self))
        await asyncio.to_thread(self.entered.wait, 5)
        return task


async def test_what_waits_is_committed_at_once(writer: Writer, path: Path, log: Log) -> None:
    gate = Gate()
    held = await gate.close(writer)
    waiting = [asyncio.create_task(writer.run(add(str(n)))) for n in range(BATCH + 10)]
    await asyncio.sleep(0)
    log.clear()
    gate.open.set()

    assert await asyncio.gather(*waiting) == [str(n) for n in range(BATCH + 10)]
    await held
    assert log.count("COMMIT") == 3
    assert lines(path) == [str(n) for n in range(BATCH + 10)]


async def test_an_idle_writer_waits_for_nobody(writer: Writer, log: Log) -> None:
    for number in range(3):
        await writer.run(add(str(number)))
    assert log.count("COMMIT") == 3


async def test_nobody_is_told_before_the_commit(writer: Writer, path: Path) -> None:
    for number in range(20):
        await writer.run(add(str(number)))
        assert len(lines(path)) == number + 1


async def outcomes_of_a_group(writer: Writer, *jobs: Callable[[sqlite3.Connection], Any]) -> list[Any]:
    """Have jobs done in one transaction, and return what each gave or raised."""
    gate = Gate()
    held = await gate.close(writer)
    waiting = [asyncio.create_task(writer.run(job)) for job in jobs]
    await asyncio.sleep(0)
    gate.open.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    await held
    return outcomes


async def test_a_job_that_fails_takes_only_itself_along(writer: Writer, path: Path, log: Log) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO lines VALUES ('half')")
        raise NotFound("nothing there")

    outcomes = await outcomes_of_a_group(writer, add("a"), broken, add("a"), add("b"))

    assert log.count("SAVEPOINT job") == 4  # all of them again
    assert outcomes[0] == "a"
    assert isinstance(outcomes[1], NotFound)
    assert type(outcomes[2]) is StorageError
    assert isinstance(outcomes[2].__cause__, sqlite3.IntegrityError)
    assert outcomes[3] == "b"
    assert lines(path) == ["a", "b"]


async def test_a_job_that_fails_before_it_writes_has_no_other_done_again(writer: Writer, path: Path, log: Log) -> None:
    def refused(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT text FROM lines").fetchall()
        raise NotFound("nothing there")

    outcomes = await outcomes_of_a_group(writer, add("a"), refused, add("a"), add("b"))

    assert [type(outcome) for outcome in outcomes] == [str, NotFound, StorageError, str]
    assert lines(path) == ["a", "b"]
    assert log.count("BEGIN IMMEDIATE") == 2  # the gate's, and theirs


COUNT = """
INSERT INTO counts (name, part, number) VALUES (?, ?, ?)
ON CONFLICT (name, part) DO UPDATE SET number = counts.number + excluded.number
"""


def adding(writer: Writer, name: Any, part: int, number: int) -> Callable[[sqlite3.Connection], Any]:
    def job(_: sqlite3.Connection) -> int:
        writer.add(Sum(COUNT, (name,), part, (number,)))
        return number

    return job


@pytest.fixture
async def counted(writer: Writer, path: Path) -> Callable[[], list[Any]]:
    """Return what reads all that was counted."""
    await writer.run(
        lambda connection: connection.execute(
            "CREATE TABLE counts (name TEXT, part INT, number INT, UNIQUE (name, part))"
        )
    )

    def read() -> list[Any]:
        with closing(connect_reader(path)) as connection:
            return connection.execute("SELECT name, part, number FROM counts ORDER BY name").fetchall()

    return read


async def test_what_a_group_counts_is_written_once(writer: Writer, log: Log, counted: Callable[[], list[Any]]) -> None:
    log.clear()
    jobs = [adding(writer, "a", 1, 10), adding(writer, "b", 2, 5), adding(writer, "a", 3, 7)]
    assert await outcomes_of_a_group(writer, *jobs) == [10, 5, 7]
    assert counted() == [("a", 1, 17), ("b", 2, 5)]
    assert sum("INTO counts" in line for line in log) == 2
    await writer.run(adding(writer, "a", 1, 3))
    assert counted() == [("a", 1, 20), ("b", 2, 5)]


@pytest.mark.parametrize("wrote", [False, True])
async def test_a_job_that_fails_counts_nothing(writer: Writer, counted: Callable[[], list[Any]], wrote: bool) -> None:
    def refused(connection: sqlite3.Connection) -> None:
        if wrote:
            connection.execute("INSERT INTO lines VALUES ('half')")
        adding(writer, "a", 1, 100)(connection)
        raise NotFound("nothing there")

    outcomes = await outcomes_of_a_group(writer, adding(writer, "a", 1, 10), refused, adding(writer, "a", 1, 1))
    assert [type(outcome) for outcome in outcomes] == [int, NotFound, int]
    assert counted() == [("a", 1, 11)]


@pytest.mark.parametrize("never", ["\ud800", object()])
async def test_what_cannot_be_counted_fails_alone(writer: Writer, counted: Callable[[], list[Any]], never: Any) -> None:
    jobs = [adding(writer, "a", 1, 10), adding(writer, never, 1, 5), adding(writer, "a", 1, 1)]
    first, failed, last = await outcomes_of_a_group(writer, *jobs)
    assert (first, last) == (10, 1)
    assert isinstance(failed, Exception)
    assert counted() == [("a", 1, 11)]


async def test_a_job_that_loses_the_transaction_does_not_take_the_others_along(writer: Writer, path: Path) -> None:
    def lose(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO lines VALUES ('half')")
        connection.execute("INSERT OR ROLLBACK INTO lines VALUES ('half')")

    gate = Gate()
    held = await gate.close(writer)
    waiting = [asyncio.create_task(writer.run(job)) for job in (add("a"), lose, add("b"))]
    await asyncio.sleep(0)
    gate.open.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    await held
    assert (outcomes[0], outcomes[2]) == ("a", "b")
    assert isinstance(outcomes[1], StorageError)
    assert lines(path) == ["a", "b"]


async def test_a_full_queue_refuses_at_once(writer: Writer) -> None:
    gate = Gate()
    held = await gate.close(writer)
    waiting = [asyncio.create_task(writer.run(add(str(n)))) for n in range(199)]
    await asyncio.sleep(0)
    before = time.monotonic()
    with pytest.raises(StorageBusy) as caught:
        await writer.run(add("too many"))
    assert time.monotonic() - before < 0.05
    assert caught.value.retry_after is not None
    gate.open.set()
    await asyncio.gather(held, *waiting)
    assert await writer.run(add("again")) == "again"


async def test_a_caller_that_left_before_its_job_began_leaves_nothing(writer: Writer, path: Path) -> None:
    gate = Gate()
    undone: list[str] = []
    held = await gate.close(writer)
    task = asyncio.create_task(writer.run(add("dropped"), undo=undone.append))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open.set()
    await held
    await writer.run(add("next"))
    assert lines(path) == ["next"]
    assert undone == []


async def test_a_caller_that_left_while_its_job_ran_has_it_undone(writer: Writer, path: Path) -> None:
    gate = Gate()

    def job(connection: sqlite3.Connection) -> str:
        gate(connection)
        return add("mine")(connection)

    task = asyncio.create_task(writer.run(job, undo=take_out))
    await asyncio.to_thread(gate.entered.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open.set()
    await writer.run(add("next"))
    await writer.run(add("last"))
    assert lines(path) == ["next", "last"]


@pytest.mark.parametrize("told", [False, True])
async def test_a_caller_that_left_as_its_job_was_done_has_it_undone_once(
    writer: Writer, path: Path, log: Log, *, told: bool
) -> None:
    task = asyncio.create_task(writer.run(add("mine"), undo=take_out))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the thread has it
    while "COMMIT" not in log:  # the loop stands still, so that it does not hear of it
        time.sleep(0.01)
    if told:
        await asyncio.sleep(0)  # it has, and the caller has not
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await writer.run(add("next"))
    await writer.run(add("last"))
    assert lines(path) == ["next", "last"]
    assert sum("DELETE" in statement for statement in log) == 1


async def test_what_cannot_be_undone_keeps_nothing_from_the_others(
    writer: Writer, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def undo(_: str) -> None:
        raise KeyError("a fault")

    gate = Gate()
    held = await gate.close(writer)
    inner = Gate()

    def job(connection: sqlite3.Connection) -> str:
        inner(connection)
        return add("left")(connection)

    left = asyncio.create_task(writer.run(job, undo=undo))
    stayed = asyncio.create_task(writer.run(add("stayed")))
    await asyncio.sleep(0)
    gate.open.set()
    await held
    await asyncio.to_thread(inner.entered.wait, 5)
    left.cancel()
    await asyncio.sleep(0)
    inner.open.set()
    assert await stayed == "stayed"
    assert lines(path) == ["left", "stayed"]
    assert "a fault" in caplog.text


async def test_what_undoes_a_job_is_not_refused_by_a_full_queue(writer: Writer, path: Path) -> None:
    assert await writer.run(add("mine")) == "mine"
    gate = Gate()
    held = await gate.close(writer)
    waiting = [asyncio.create_task(writer.run(add(str(n)))) for n in range(199)]
    await asyncio.sleep(0)
    with pytest.raises(StorageBusy):
        await writer.run(add("too many"))
    writer.undo(take_out("mine"))
    gate.open.set()
    await asyncio.gather(held, *waiting)
    await writer.run(add("last"))
    assert lines(path) == [*map(str, range(199)), "last"]


async def test_what_undoes_a_job_is_tried_again_where_it_fails(writer: Writer, path: Path) -> None:
    failures = [sqlite3.OperationalError("database or disk is full"), KeyError("a fault")]
    undone = asyncio.Event()
    loop = asyncio.get_running_loop()

    def undo(connection: sqlite3.Connection) -> None:
        if failures:
            raise failures.pop()
        take_out("mine")(connection)
        loop.call_soon_threadsafe(undone.set)

    assert await writer.run(add("mine")) == "mine"
    writer.undo(undo)
    await asyncio.wait_for(undone.wait(), 20)
    await writer.run(add("last"))
    assert lines(path) == ["last"]


async def test_what_undoes_a_job_is_not_tried_without_end(writer: Writer) -> None:
    tries = 0
    tried = asyncio.Event()
    loop = asyncio.get_running_loop()

    def undo(_: sqlite3.Connection) -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            loop.call_soon_threadsafe(tried.set)
        raise KeyError("a fault")

    writer.undo(undo, (0.0, 0.01))
    await asyncio.wait_for(tried.wait(), 20)
    await asyncio.sleep(0.1)
    await writer.run(add("last"))
    assert tries == 3


async def test_a_caller_waits_a_bounded_time_for_a_stuck_disk(path: Path) -> None:
    def connect() -> sqlite3.Connection:
        connection = connect_writer(path)
        connection.execute("CREATE TABLE lines (text TEXT UNIQUE)")
        return connection

    writer = Writer("test-writer", connect, budget=0.05)
    await writer.start()
    gate = Gate()

    def job(connection: sqlite3.Connection) -> str:
        gate(connection)
        return add("late")(connection)

    with pytest.raises(StorageBusy):
        await writer.run(job, undo=take_out)
    gate.open.set()
    await writer.run(add("next"))
    await writer.stop()
    assert lines(path) == ["next"]


async def test_what_was_begun_is_done_before_the_end(writer: Writer, path: Path) -> None:
    waiting = [asyncio.create_task(writer.run(add(str(n)))) for n in range(50)]
    await asyncio.sleep(0)
    await writer.stop()
    await asyncio.gather(*waiting)
    assert len(lines(path)) == 50
    with pytest.raises(StorageError, match="closed"):
        await writer.run(add("late"))


async def test_a_file_that_cannot_be_opened_is_told_at_the_start(tmp_path: Path) -> None:
    writer = Writer("test-writer", partial(connect_writer, tmp_path / "nowhere" / "x.db"))
    with pytest.raises(StorageError, match="cannot be opened"):
        await writer.start()


async def test_readers_cannot_write(writer: Writer, path: Path) -> None:
    reader = Reader("test-reader", partial(connect_reader, path), threads=2)
    await reader.start()
    with pytest.raises(StorageError):
        await reader.run(add("x"))
    await reader.stop()
    assert lines(path) == []


async def test_the_loop_runs_on_while_the_disk_works(writer: Writer) -> None:
    gate = Gate()
    held = await gate.close(writer)
    before = time.monotonic()
    await asyncio.sleep(0.01)
    assert time.monotonic() - before < 0.5
    gate.open.set()
    await held

"""Threads that own a connection each, and work off one bounded queue of jobs."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeAlias, TypeVar

from orchestrator_core.provider_api import StorageError
from orchestrator_core.sessions.databases.base import UNDO_DELAYS
from orchestrator_core.sessions.databases.sqlite_connection import is_locked, storage_error
from orchestrator_core.sessions.errors import busy, closed

T = TypeVar("T")

Undo: TypeAlias = Callable[[T], Callable[[sqlite3.Connection], object] | None]

logger = logging.getLogger(__name__)

_STOP_WITHIN = 10.0


@dataclass(slots=True, eq=False)
class Job(Generic[T]):
    """Something to do with the database.

    Attributes:
        run: What to do. It may be run again after its transaction was rolled back.
        future: Where the caller waits.
        expires: Until when it may wait for a lock, on the monotonic clock.
        undo: From its result, what has to be done where the caller went away before it learned of it.
        abandoned: Whether the caller has gone: the job is dropped unless it has begun.
        result: What `run` returned.
        error: What `run` raised.
        done: Whether it was run to its end, good or bad.
    """

    run: Callable[[sqlite3.Connection], T]
    future: asyncio.Future[T]
    expires: float
    undo: Undo[T] | None = None
    abandoned: bool = False
    result: T | None = None
    error: Exception | None = None
    done: bool = False

    def succeed(self, result: T) -> None:
        """End the job with its result."""
        self.result, self.error, self.done = result, None, True

    def fail(self, error: Exception) -> None:
        """End the job with an error."""
        if isinstance(error, sqlite3.Error):
            if not (self.abandoned or is_locked(error)):
                logger.error("database error: %s: %s", getattr(error, "sqlite_errorname", "unknown"), error)
            self.error = storage_error(error)
            self.error.__cause__ = error
        else:
            self.error = error
        self.done = True


class Worker:
    """One or more threads over one queue. A subclass says how a batch of jobs is done."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], sqlite3.Connection],
        *,
        threads: int = 1,
        batch: int = 1,
        capacity: int = 1024,
        budget: float = 5.0,
    ) -> None:
        """Make a worker; `start` it.

        Args:
            name: The name of its threads.
            connect: Opens a connection, in the thread that is to use it.
            threads: How many threads.
            batch: The most jobs that are done at once.
            capacity: The most jobs that may wait or be under way.
            budget: Seconds that a job may wait for a lock.
        """
        self._name = name
        self._connect = connect
        self._threads = threads
        self._batch = batch
        self._capacity = capacity
        self._budget = budget
        self._queue: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._gathered: list[Job[Any]] = []
        self._waiting: dict[Job[Any], None] = {}  # oldest first
        self._timer: asyncio.TimerHandle | None = None
        self._ended: list[asyncio.Future[None]] = []
        self._accepting = False

    async def start(self) -> None:
        """Start the threads.

        Raises:
            StorageError: A connection cannot be opened.
        """
        self._loop = asyncio.get_running_loop()
        started = []
        for number in range(self._threads):
            ready, ended = self._loop.create_future(), self._loop.create_future()
            started.append(ready)
            self._ended.append(ended)
            threading.Thread(target=self._main, args=(ready, ended), name=f"{self._name}-{number}", daemon=True).start()
        self._accepting = True
        outcomes = await asyncio.gather(*started, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                await self.stop()
                raise outcome

    async def stop(self) -> None:
        """Do what is waiting, and end the threads."""
        if not self._accepting:
            return
        self._accepting = False
        self._hand_over()
        for _ in self._ended:
            self._queue.put(None)
        await asyncio.wait(self._ended, timeout=_STOP_WITHIN)
        if self._timer is not None:
            self._timer.cancel()

    async def run(self, run: Callable[[sqlite3.Connection], T], *, undo: Undo[T] | None = None) -> T:
        """Have a job done.

        Args:
            run: What to do.
            undo: For a caller that goes away before it learns the result: from the result, what then has to be done.

        Raises:
            StorageBusy: Too many jobs wait, or the database was locked for too long.
            StorageFull: There is no room.
            StorageError: The store is closed or cannot be used.
        """
        if self._accepting and len(self._waiting) >= self._capacity:
            raise busy()
        job = self._submit(run, undo)
        try:
            return await job.future
        except asyncio.CancelledError:
            job.abandoned = True
            if not job.future.cancelled() and job.future.exception() is None:  # it was done in the same moment
                self._undo(job)
            raise

    def undo(self, step: Callable[[sqlite3.Connection], object], delays: Sequence[float] = UNDO_DELAYS) -> None:
        """Do what undoes a job that was done for nobody; where it fails, do it again a little later.

        A full queue does not refuse it: there is one at most for each job that was let in.

        Args:
            step: What to do.
            delays: Seconds before each further try.
        """
        try:
            tried = self._submit(step).future
        except StorageError as error:
            logger.warning("an abandoned job could not be undone: %s", error.message)
        else:
            tried.add_done_callback(partial(self._undo_again, step, delays))

    def _undo_again(
        self, step: Callable[[sqlite3.Connection], object], delays: Sequence[float], tried: asyncio.Future[object]
    ) -> None:
        error = None if tried.cancelled() else tried.exception()
        if error is None:
            return
        logger.warning("an abandoned job could not be undone yet: %s", error)
        if delays:
            self._loop.call_later(delays[0], self.undo, step, delays[1:])

    def _submit(self, run: Callable[[sqlite3.Connection], T], undo: Undo[T] | None = None) -> Job[T]:
        if not self._accepting:
            raise closed()
        job = Job(run, self._loop.create_future(), time.monotonic() + self._budget, undo)
        self._waiting[job] = None
        if self._timer is None:
            self._timer = self._loop.call_later(2 * self._budget, self._give_up)
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(job)
        return job

    def _hand_over(self) -> None:
        """Give the threads what one step of the event loop asked for.

        One by one, the first of them would begin a group, and its thread take the interpreter's lock within that step.
        """
        for job in self._gathered:
            self._queue.put(job)
        self._gathered.clear()

    def _give_up(self) -> None:
        """Let nobody wait for longer than twice the budget: a job may wait for its lock and then still has to be done.

        One timer serves all jobs, since they come to it in their order: one for each would cost as much as a statement.
        """
        self._timer, now = None, time.monotonic()
        for job in self._waiting:
            if job.future.done():
                continue
            left = job.expires + self._budget - now
            if left > 0:
                self._timer = self._loop.call_later(left, self._give_up)
                return
            job.abandoned = True
            job.future.set_exception(busy())

    def _undo(self, job: Job[Any]) -> None:
        """Undo what was done for a caller that has gone."""
        if job.undo is None or not job.done or job.error is not None:
            return
        undo, job.undo = job.undo, None
        step = undo(job.result)
        if step is not None:
            self.undo(step)

    def _main(self, ready: asyncio.Future[None], ended: asyncio.Future[None]) -> None:
        try:
            connection = self._connect()
        except sqlite3.Error as error:
            logger.error("cannot open the database: %s", error)  # noqa: TRY400 - the traceback says no more
            failure = StorageError(f"The conversation store cannot be opened: {error}.")
            self._call(_fail, ready, failure)
            self._call(_succeed, ended)
            return
        self._call(_succeed, ready)
        with closing(connection):
            while batch := self._take():
                jobs = [job for job in batch if not job.abandoned]
                try:
                    self._work(connection, jobs)
                except Exception as error:
                    logger.exception("a batch of jobs failed")
                    for job in jobs:
                        job.fail(StorageError(f"The conversation store failed ({type(error).__name__})."))
                self._call(self._settle, batch)
        self._call(_succeed, ended)

    def _take(self) -> list[Job[Any]]:
        """Wait for jobs and return what is there, at most a batch; nothing is the end."""
        batch: list[Job[Any]] = []
        job = self._queue.get()
        while job is not None:
            batch.append(job)
            if len(batch) == self._batch:
                return batch
            try:
                job = self._queue.get_nowait()
            except Empty:
                return batch
        if batch:
            self._queue.put(None)
        return batch

    def _work(self, connection: sqlite3.Connection, jobs: Sequence[Job[Any]]) -> None:
        """Do a batch of jobs: each has its result or its error afterwards."""
        raise NotImplementedError

    def _settle(self, batch: Sequence[Job[Any]]) -> None:
        for job in batch:
            del self._waiting[job]
            if job.future.done():
                self._loop.call_soon(self._undo, job)  # apart: whatever comes of it, the others are told
            elif job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            logger.debug("the event loop has ended; nobody waits any more")


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)

"""The one thread that writes: many callers, one transaction, one sync of the disk."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from operator import add
from typing import Any

from orchestrator_core.sessions.databases.lock import WriteTurn
from orchestrator_core.sessions.databases.sqlite_connection import is_locked
from orchestrator_core.sessions.databases.worker import Job, Worker
from orchestrator_core.sessions.errors import busy
from orchestrator_core.sessions.steps import Sum

BATCH = 128
"""The most jobs of one transaction."""

_SCRUB_AGAIN = 1.0

logger = logging.getLogger(__name__)


class Writer(Worker):
    """Commits in groups: what waits when the thread is free goes into one transaction, at once and without delay.

    A job that fails takes nothing of the others with it: where it had written something, all are done again, each in a
    savepoint of its own. Nobody is told of success before the commit is on the disk.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], sqlite3.Connection],
        *,
        turn: WriteTurn | None = None,
        capacity: int = 1024,
        budget: float = 5.0,
    ) -> None:
        """Make a writer; `start` it.

        Args:
            name: As for `Worker`.
            connect: As for `Worker`.
            turn: What is taken for each group, where other processes may write too.
            capacity: As for `Worker`.
            budget: As for `Worker`.
        """
        super().__init__(name, connect, batch=BATCH, capacity=capacity, budget=budget)
        self._turn = turn
        self._scrub = False
        self._scrub_after = 0.0
        self._sums: list[Sum] = []

    def scrub(self) -> None:
        """From within a job: rid the log of what the job deletes, when it is committed and before it is told."""
        self._scrub, self._scrub_after = True, 0.0

    def add(self, added: Sum) -> None:
        """From within a job: add this up with what the other jobs of its transaction add, and write it in the end."""
        self._sums.append(added)

    def _work(self, connection: sqlite3.Connection, jobs: Sequence[Job[Any]]) -> None:
        if self._turn is None:
            self._commit_all(connection, jobs)
            return
        try:
            self._turn.take(self._budget)
        except TimeoutError:
            logger.warning("another process writes to the database for too long: %d calls gave up", len(jobs))
            for job in jobs:
                job.fail(busy())
            return
        try:
            self._commit_all(connection, jobs)
        finally:
            self._turn.give()

    def _commit_all(self, connection: sqlite3.Connection, jobs: Sequence[Job[Any]]) -> None:
        waiting, apart = list(jobs), False
        while waiting:
            try:
                if self._commit(connection, waiting, apart=apart):
                    self._truncate_log(connection)
                    return
                apart = True
            except Exception as error:  # noqa: BLE001 - each caller is told what came of its job
                _rollback(connection)
                waiting = self._after_failure(connection, waiting, error)

    def _commit(self, connection: sqlite3.Connection, jobs: Sequence[Job[Any]], *, apart: bool) -> bool:
        """Do jobs in one transaction.

        Args:
            connection: The connection.
            jobs: What is done.
            apart: Whether each stands in a savepoint. That takes a twelfth of a turn's time here, and most jobs either
                succeed or fail before they write.

        Returns:
            Whether it was committed: not where a job that does not stand apart failed after it had written something.
        """
        execute = connection.execute
        execute("BEGIN IMMEDIATE")
        self._sums.clear()
        for job in jobs:
            written, sums = connection.total_changes, len(self._sums)
            if apart:
                execute("SAVEPOINT job")
            try:
                job.succeed(job.run(connection))
            except Exception as error:
                if isinstance(error, sqlite3.Error) and not connection.in_transaction:
                    raise  # SQLite rolled everything back: https://www.sqlite.org/lang_transaction.html
                if apart:
                    execute("ROLLBACK TO job")
                elif connection.total_changes != written:
                    execute("ROLLBACK")
                    return False
                del self._sums[sums:]
                job.fail(error)
            if apart:
                execute("RELEASE job")
        for each in _added_up(self._sums):
            execute(each.sql, each.parameters)
        execute("COMMIT")
        return True

    def _after_failure(
        self, connection: sqlite3.Connection, jobs: Sequence[Job[Any]], error: Exception
    ) -> list[Job[Any]]:
        """End the jobs that cannot be done, and return those to try again."""
        if is_locked(error):
            now = time.monotonic()
            late = [job for job in jobs if job.expires <= now]
            if late:
                logger.warning("another process locks the database: %d calls gave up", len(late))
            for job in late:
                job.fail(error)
            return [job for job in jobs if job.expires > now]
        if len(jobs) == 1:
            jobs[0].fail(error)
        else:
            # The transaction is lost for all because of one of them: alone, the others may still succeed.
            for job in jobs:
                self._commit_all(connection, [job])
        return []

    def _truncate_log(self, connection: sqlite3.Connection) -> None:
        """Rid the log of deleted text; a reader of another process may delay it."""
        now = time.monotonic()
        if not self._scrub or now < self._scrub_after:
            return
        try:
            blocked, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            logger.warning("deleted text stays in the write-ahead log for now: %s", error)
            blocked = True
        self._scrub = bool(blocked)
        self._scrub_after = now + _SCRUB_AGAIN


def _added_up(sums: Sequence[Sum]) -> Iterable[Sum]:
    """Return what is added to each row; where a thing is counted in several parts, one of them takes all."""
    found: dict[tuple[str, tuple[Any, ...]], Sum] = {}
    for each in sums:
        row = (each.sql, each.key)
        before = found.get(row)
        found[row] = each if before is None else before._replace(numbers=tuple(map(add, before.numbers, each.numbers)))
    return found.values()


def _rollback(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            logger.warning("rollback failed: %s", error)

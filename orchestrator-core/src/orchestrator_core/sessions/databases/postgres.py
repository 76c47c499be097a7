"""PostgreSQL, for any number of processes and machines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Hashable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import asyncpg

from orchestrator_core.provider_api import GatewayError, StorageError
from orchestrator_core.sessions.databases.base import UNDO_DELAYS, Undo
from orchestrator_core.sessions.databases.identity import dead_among, process_identity
from orchestrator_core.sessions.databases.lines import Lines, Place
from orchestrator_core.sessions.databases.postgres_commits import Uncertain, once_ended
from orchestrator_core.sessions.databases.postgres_sql import to_postgres, together
from orchestrator_core.sessions.databases.postgres_statistics import analyse, outgrown
from orchestrator_core.sessions.databases.server_clock import ServerClock, read_ahead
from orchestrator_core.sessions.errors import busy, closed, full, unstorable, unusable
from orchestrator_core.sessions.jobs import processes
from orchestrator_core.sessions.schema import prepare_postgres
from orchestrator_core.sessions.steps import Change, Lock, Query, Row, Sum, Transaction, Write

T = TypeVar("T")

BEAT_EVERY = 2.0
"""Seconds between two signs of life."""

SILENCE = 10.0
"""Seconds without a sign of life after which a process is taken for dead."""

CONNECT_WITHIN = 3.0
"""Seconds to open a connection, or to get one of the pool's."""

LOCK_WAIT = 0.1
"""Seconds that the server waits for a row that somebody holds; whoever may wait longer gives the connection back."""

LEFT_TO_AUTOVACUUM = 60.0
"""Seconds after statistics that could not be taken; taking them may be too much for the server just now."""

_TOGETHER = 16
"""The most statements that are sent as one."""

_CLOSE_WITHIN = 10.0
_PAUSE = 0.05

_CONFLICTS = (asyncpg.UniqueViolationError, asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver says where a connection broke in the middle of an operation
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)

logger = logging.getLogger(__name__)


class PostgresDatabase:
    """Implements `Database` on a pool of connections.

    A transaction that loses to another one, or whose connection breaks before its end was asked for, is run again
    until its time is over. The pool replaces connections that broke. One that needs a row which somebody holds waits
    for it in line and without a connection, so that whoever wants other rows finds one.
    """

    def __init__(self, url: str, *, connections: int, budget: float) -> None:
        """Make a database; `open` it.

        Args:
            url: `postgresql://...`.
            connections: The most connections at once.
            budget: Seconds that a transaction may take, with its waiting.
        """
        self.process_id = process_identity()
        self._url = url
        self._connections = connections
        self._budget = budget
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._duties: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lines = Lines()
        self._clock = ServerClock()

    async def open(self) -> None:
        """See `Database.open`.

        Raises:
            StorageError: The database cannot be reached, or has another schema.
        """
        try:
            await prepare_postgres(self._url, within=CONNECT_WITHIN)
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=0,  # what keeps a floor logs a traceback for every try while the server is away
                max_size=self._connections,
                timeout=CONNECT_WITHIN,
                command_timeout=self._budget + CONNECT_WITHIN,  # the server is to end what takes too long itself
                max_inactive_connection_lifetime=300.0,
                reset=_leave_as_it_is,
                server_settings={"application_name": "orchestrator", **_limits(self._budget)},
            )
        except (*_AWAY, asyncpg.PostgresError, TimeoutError) as error:
            raise StorageError(
                f"PostgreSQL cannot be used ({type(error).__name__}). Check ORCHESTRATOR_DATABASE_URL and that it runs."
            ) from error
        try:
            await self.write(partial(processes.join, self.process_id, await self._look_around()))
        except BaseException:
            await self.close()
            raise
        self._duties = [
            asyncio.create_task(self._live(), name="store heartbeat"),
            asyncio.create_task(self._keep_statistics(), name="store statistics"),
        ]

    async def close(self) -> None:
        """See `Database.close`."""
        for duty in self._duties:
            duty.cancel()
        await asyncio.gather(*self._duties, return_exceptions=True)
        self._duties.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_WITHIN)
        pool = self._pool
        if pool is not None:
            with suppress(GatewayError):
                await self.write(partial(processes.leave, self.process_id))
            self._pool = None
            try:
                async with asyncio.timeout(_CLOSE_WITHIN):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    def now(self) -> int:
        """See `Database.now`; this is the server's clock, which is asked with every sign of life."""
        return self._clock.now()

    async def write(self, transaction: Transaction[T], *, undo: Undo[T] | None = None, scrub: bool = False) -> T:  # noqa: ARG002 - see below
        """See `Database.write`; PostgreSQL overwrites deleted rows at its next vacuum, whatever `scrub` says."""
        work = self._own(self._persist(transaction, undo))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(partial(self._undo_after, undo))
            raise

    def undo(self, transaction: Transaction[Any]) -> None:
        """See `Database.undo`."""
        self._own(self._undo_later(transaction))

    async def read(self, transaction: Transaction[T]) -> T:
        """See `Database.read`."""
        return await self._persist(transaction, None, readonly=True)

    async def _persist(self, transaction: Transaction[T], undo: Undo[T] | None, *, readonly: bool = False) -> T:
        place = self._lines.place()
        try:
            return await self._try_until_done(transaction, place, undo, readonly=readonly)
        finally:
            place.leave()

    async def _try_until_done(
        self, transaction: Transaction[T], place: Place, undo: Undo[T] | None, *, readonly: bool
    ) -> T:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._budget
        while True:
            try:
                async with asyncio.timeout_at(end + CONNECT_WITHIN):
                    return await self._transact(transaction, place, readonly=readonly)
            except _Held as held:
                if loop.time() >= end:
                    raise busy() from held
                await _wait_for(held.row, place, end)
            except Uncertain as error:
                self._undo(undo, error.result, committed_by=error.pid)
                raise unusable() from error
            except (*_CONFLICTS, *_AWAY, TimeoutError) as error:
                away = not isinstance(error, _CONFLICTS)
                if loop.time() >= end:
                    if away:
                        logger.error("PostgreSQL cannot be reached: %s", type(error).__name__)  # noqa: TRY400 - the traceback says no more
                    raise unusable() if away and not isinstance(error, TimeoutError) else busy() from error
                await asyncio.sleep(_PAUSE * (4 if away else 1))
            except asyncpg.QueryCanceledError as error:
                raise busy() from error
            except asyncpg.DiskFullError as error:
                raise full() from error
            except asyncpg.DataError as error:
                logger.error("PostgreSQL refuses a value: %s: %s", error.sqlstate, error)  # noqa: TRY400 - the traceback says no more
                raise unstorable() from error
            except asyncpg.PostgresError as error:
                logger.error("database error: %s: %s", error.sqlstate, error)  # noqa: TRY400 - the traceback says no more
                raise unusable() from error

    async def _transact(self, transaction: Transaction[T], place: Place, *, readonly: bool) -> T:
        if self._pool is None:
            raise closed()
        pool = self._pool
        connection = await pool.acquire(timeout=CONNECT_WITHIN)
        try:
            begun = connection.transaction(
                isolation="repeatable_read" if readonly else "read_committed", readonly=readonly
            )
            await begun.start()
            try:
                result = await self._run(connection, transaction, place)
            except (*_AWAY, TimeoutError, asyncio.CancelledError):
                _break(connection)
                raise
            except BaseException:
                with suppress(*_AWAY, asyncpg.PostgresError):
                    await begun.rollback()
                raise
            pid = connection.get_server_pid()  # a connection that is broken has forgotten it
            try:
                await begun.commit()
            except (*_AWAY, TimeoutError, asyncio.CancelledError) as error:
                _break(connection)
                if readonly:
                    raise
                # Whether it was committed, or will be, is known to the server alone.
                raise Uncertain(result, pid) from error
            return result
        finally:
            # Apart, since what is committed must be told even where the connection breaks as it goes back.
            self._own(_give_back(pool, connection))

    async def _run(self, connection: Any, transaction: Transaction[T], place: Place) -> T:
        steps = transaction()
        rows: Sequence[Row] | None = None
        writes: list[Query | Change | Sum] = []
        try:
            while True:
                query = next(steps) if rows is None else steps.send(rows)
                if isinstance(query, Lock | Change) and query.row in self._lines and not place.is_first(query.row):
                    raise _Held(query.row)
                if isinstance(query, Change):
                    writes.append(query)
                    rows = [(await _write(connection, writes),)]
                    continue
                if isinstance(query, Write | Sum) and len(writes) < _TOGETHER:
                    writes.append(query)
                    rows = ()
                    continue
                await _write(connection, writes)
                try:
                    rows = await connection.fetch(to_postgres(query.sql), *query.parameters)
                except asyncpg.LockNotAvailableError as error:
                    raise _Held(query.row if isinstance(query, Lock) else query) from error
        except StopIteration as end:
            await _write(connection, writes)
            result: T = end.value
            return result
        finally:
            steps.close()

    async def _look_around(self) -> Sequence[str]:
        """Set the clock by the server's, and return which processes of this machine have ended."""
        self._clock.ahead = await self.read(read_ahead)
        return dead_among(await self.read(processes.known))

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(BEAT_EVERY)
            try:
                await self.write(partial(processes.beat, self.process_id, SILENCE, await self._look_around()))
            except GatewayError as error:
                logger.warning("no sign of life could be given: %s", error.code)
            except Exception:
                # Without signs of life the other processes would take this one for dead.
                logger.exception("no sign of life could be given")

    async def _keep_statistics(self) -> None:
        while True:
            await asyncio.sleep(BEAT_EVERY)
            try:
                for table in await self.read(outgrown):
                    await self.write(partial(analyse, table))
            except GatewayError as error:
                logger.warning("statistics could not be taken: %s", error.code)
                await asyncio.sleep(LEFT_TO_AUTOVACUUM)
            except Exception:
                logger.exception("statistics could not be taken")

    def _own(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _undo_after(self, undo: Undo[T] | None, work: asyncio.Task[T]) -> None:
        if not work.cancelled() and work.exception() is None:
            self._undo(undo, work.result())

    def _undo(self, undo: Undo[T] | None, result: T, *, committed_by: int | None = None) -> None:
        step = None if undo is None else undo(result)
        if step is not None:
            self.undo(step if committed_by is None else partial(once_ended, committed_by, step))

    async def _undo_later(self, step: Transaction[Any]) -> None:
        for delay in (*UNDO_DELAYS, None):
            try:
                await self._persist(step, None)
            except StorageError as error:
                logger.warning("an abandoned job could not be undone yet: %s", error.code)
                if delay is not None:
                    await asyncio.sleep(delay)
            else:
                return


async def _write(connection: Any, writes: list[Query | Change | Sum]) -> int:
    """Send what was put off, as one statement; return how many rows the last of it changed."""
    if not writes:
        return 0
    sql = together(tuple(query.sql for query in writes))
    try:
        tag = await connection.execute(sql, *(value for query in writes for value in query.parameters))
    except asyncpg.LockNotAvailableError as error:
        last = writes[-1]
        raise _Held(last.row if isinstance(last, Change) else last) from error
    writes.clear()
    return int(tag.rpartition(" ")[2])


class _Held(Exception):
    """Somebody holds what a statement needs."""

    def __init__(self, row: Hashable) -> None:
        super().__init__()
        self.row = row


async def _wait_for(row: Hashable, place: Place, end: float) -> None:
    """Wait until it is time to try again: as the first of the line, or a little longer where one is that already.

    Raises:
        StorageBusy: The time is over.
    """
    try:
        async with asyncio.timeout_at(end):
            if place.is_first(row):
                await asyncio.sleep(_PAUSE)
            else:
                await place.stand(row)
    except TimeoutError:
        raise busy() from None


def _limits(budget: float) -> dict[str, str]:
    """Return how long the server itself lets a transaction wait, work and idle.

    A process that lost its network cannot end its transactions: without these limits their locks would stay.
    """
    return {
        "lock_timeout": f"{int(LOCK_WAIT * 1000)}ms",
        "statement_timeout": f"{int(budget * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{int(SILENCE * 1000)}ms",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "20000",
    }


async def _give_back(pool: asyncpg.Pool[asyncpg.Record], connection: Any) -> None:
    try:
        await pool.release(connection, timeout=CONNECT_WITHIN)
    except (*_AWAY, asyncpg.PostgresError, TimeoutError):
        _break(connection)


def _break(connection: Any) -> None:
    with suppress(asyncpg.InterfaceError):  # it has gone back to the pool, which does so itself
        connection.terminate()


async def _leave_as_it_is(_: Any) -> None:
    """Reset nothing: no transaction changes anything of its connection."""

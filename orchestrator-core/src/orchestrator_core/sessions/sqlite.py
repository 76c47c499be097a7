"""The conversation store in one SQLite file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

from orchestrator_core.provider_api import InvalidRequest, Json
from orchestrator_core.sessions import queries
from orchestrator_core.sessions.beginning import BeginTurn, Limits
from orchestrator_core.sessions.connection import connect_reader, connect_writer
from orchestrator_core.sessions.ending import EndTurn
from orchestrator_core.sessions.idempotency import KEEP, Claim, Settle, digest, redacted
from orchestrator_core.sessions.lock import ProcessLock
from orchestrator_core.sessions.models import (
    FinishedTurn,
    NewSummary,
    NewTurn,
    Page,
    Session,
    SessionMetrics,
    SessionStatus,
    StartedTurn,
    StoredMessage,
    StoredReply,
    StoreTotals,
    TurnOutcome,
)
from orchestrator_core.sessions.reader import Reader
from orchestrator_core.sessions.rows import (
    Redact,
    SessionRow,
    adjustments_json,
    metadata_json,
    micros,
    said,
    stored_message,
)
from orchestrator_core.sessions.schema import prepare
from orchestrator_core.sessions.summarizing import AddSummary
from orchestrator_core.sessions.writer import Writer

_READERS = 2


class SqliteStore:
    """Implements `SessionStore` on one file, for one process.

    All writes go through one thread with one connection, in groups; reads have threads of their own. The event loop
    is never blocked.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_idle: timedelta,
        busy_timeout: float = 5.0,
        max_turn: timedelta = timedelta(hours=1),
        redact: Redact = lambda text: text,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a store; `open` it.

        Args:
            path: The database file; its directory exists.
            max_idle: How long after its last turn a session takes another.
            busy_timeout: Seconds that a call may wait for a locked database.
            max_turn: How long a turn may be pending before it is taken for abandoned.
            redact: Masks secrets in all text that is written.
            clock: Seconds since the epoch.
        """
        self._limits = Limits(idle=micros(max_idle), turn=micros(max_turn), key=micros(KEEP))
        self._busy_timeout = busy_timeout
        self._path = path
        self._redact = redact
        self._clock = clock
        self._lock = ProcessLock(path)
        self._writer = Writer("sqlite-writer", partial(connect_writer, path), budget=busy_timeout)
        self._reader = Reader("sqlite-reader", partial(connect_reader, path), threads=_READERS, budget=busy_timeout)

    async def open(self) -> None:
        """See `SessionStore.open`.

        Raises:
            StorageError: The file cannot be used, or another process uses it.
        """
        await self._lock.acquire(self._busy_timeout)
        try:
            await prepare(self._path)
            await self._writer.start()
            await self._writer.run(partial(queries.recover, now=self._now(), keep=self._limits.key))
            await self._reader.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `SessionStore.close`."""
        await self._reader.stop()
        await self._writer.stop()
        self._lock.release()

    async def ping(self) -> None:
        """See `SessionStore.ping`."""
        await self._writer.run(queries.probe)

    async def create_session(
        self, tenant: str, *, user_id: str | None = None, metadata: Mapping[str, Json] | None = None
    ) -> Session:
        """See `SessionStore.create_session`."""
        now = self._now()
        row = await self._writer.run(
            partial(
                queries.create_session,
                tenant=tenant,
                user_id=self._label(user_id),
                metadata=metadata_json(metadata, self._redact),
                now=now,
            )
        )
        return self._session(tenant, row, now)

    async def get_session(self, tenant: str, session_id: str) -> Session:
        """See `SessionStore.get_session`."""
        row = await self._reader.run(partial(queries.read_session, tenant=tenant, session_id=session_id))
        return self._session(tenant, row, self._now())

    async def list_sessions(
        self, tenant: str, *, limit: int, offset: int = 0, user_id: str | None = None
    ) -> Page[Session]:
        """See `SessionStore.list_sessions`."""
        rows = await self._reader.run(
            partial(queries.list_sessions, tenant=tenant, limit=limit, offset=offset, user_id=self._label(user_id))
        )
        now = self._now()
        return Page([self._session(tenant, row, now) for row in rows[:limit]], len(rows) > limit)

    async def update_session(
        self,
        tenant: str,
        session_id: str,
        *,
        metadata: Mapping[str, Json] | None = None,
        status: SessionStatus | None = None,
    ) -> Session:
        """See `SessionStore.update_session`.

        Raises:
            InvalidRequest: Another status than `closed`.
        """
        if status not in {None, "closed"}:
            raise InvalidRequest("A session can only be closed: send the status closed.", param="status")
        now = self._now()
        row = await self._writer.run(
            partial(
                queries.update_session,
                tenant=tenant,
                session_id=session_id,
                metadata=None if metadata is None else metadata_json(metadata, self._redact),
                close=status == "closed",
                now=now,
            )
        )
        return self._session(tenant, row, now)

    async def delete_session(self, tenant: str, session_id: str) -> None:
        """See `SessionStore.delete_session`."""

        def delete(connection: sqlite3.Connection) -> None:
            queries.delete_session(connection, tenant, session_id)
            self._writer.scrub()

        await self._writer.run(delete)

    async def begin_turn(self, tenant: str, turn: NewTurn) -> StartedTurn:
        """See `SessionStore.begin_turn`."""
        job = BeginTurn(
            tenant=tenant,
            session_id=turn.session_id,
            user_id=self._label(turn.user_id),
            metadata=metadata_json(turn.metadata, self._redact),
            key=None if turn.idempotency_key is None else digest(turn.idempotency_key),
            messages=tuple(said(message, self._redact) for message in turn.messages),
            now=self._now(),
            limits=self._limits,
            check=turn.check,
        )
        begun = await self._writer.run(job, undo=job.abandon)
        return begun.started(tenant, job.now, self._limits)

    async def finish_turn(self, tenant: str, turn_id: str, outcome: TurnOutcome) -> FinishedTurn:
        """See `SessionStore.finish_turn`.

        Raises:
            ValueError: The outcome is `pending`.
        """
        if outcome.state == "pending":
            raise ValueError("a turn cannot end as pending")
        answer = None if outcome.state == "failed" else outcome.message
        now = self._now()
        session, row = await self._writer.run(
            EndTurn(
                tenant=tenant,
                turn_id=turn_id,
                outcome=outcome,
                answer=None if answer is None else said(answer, self._redact),
                adjustments=adjustments_json(outcome.adjustments, self._redact),
                now=now,
            )
        )
        return FinishedTurn(
            session=self._session(tenant, session, now),
            answer=None if row is None else stored_message(row),
            unsummarized=session.unsummarized,
        )

    async def history(self, tenant: str, session_id: str, *, limit: int, offset: int = 0) -> Page[StoredMessage]:
        """See `SessionStore.history`."""
        rows = await self._reader.run(
            partial(queries.read_history, tenant=tenant, session_id=session_id, limit=limit, offset=offset)
        )
        return Page([stored_message(row) for row in rows[:limit]], len(rows) > limit)

    async def context(self, tenant: str, session_id: str) -> StartedTurn:
        """See `SessionStore.context`."""
        begun = await self._reader.run(partial(queries.context, tenant=tenant, session_id=session_id))
        return begun.started(tenant, self._now(), self._limits)

    async def add_summary(self, tenant: str, session_id: str, summary: NewSummary) -> bool:
        """See `SessionStore.add_summary`."""
        job = AddSummary(tenant, session_id, summary, self._redact(summary.text), self._now())
        return await self._writer.run(job)

    async def metrics(self, tenant: str, session_id: str) -> SessionMetrics:
        """See `SessionStore.metrics`."""
        return await self._reader.run(partial(queries.read_metrics, tenant=tenant, session_id=session_id))

    async def totals(self, tenant: str) -> StoreTotals:
        """See `SessionStore.totals`."""
        since = self._now() - self._limits.idle
        return await self._reader.run(partial(queries.read_totals, tenant=tenant, active_since=since))

    async def claim(self, tenant: str, key: str, fingerprint: str) -> StoredReply | None:
        """See `SessionStore.claim`."""
        job = Claim(tenant, digest(key), fingerprint, self._now(), self._limits.key, self._limits.turn)
        return await self._writer.run(job, undo=job.abandon)

    async def settle(self, tenant: str, key: str, reply: StoredReply | None) -> None:
        """See `SessionStore.settle`."""
        kept = None if reply is None else redacted(reply, self._redact)
        await self._writer.run(Settle(tenant, digest(key), kept))

    def _now(self) -> int:
        return int(self._clock() * 1_000_000)

    def _label(self, user_id: str | None) -> str | None:
        return None if user_id is None else self._redact(user_id)

    def _session(self, tenant: str, row: SessionRow, now: int) -> Session:
        return row.session(tenant, now, self._limits.idle)

"""The conversation store, on any database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from orchestrator_core.provider_api import InvalidRequest, Json, NotFound, SessionEnded
from orchestrator_core.sessions import filling
from orchestrator_core.sessions.bills import (
    CallKind,
    CallTotal,
    Dimension,
    SessionMetrics,
    StoreTotals,
    UsageFilter,
    UsageTotal,
)
from orchestrator_core.sessions.client_keys import ClientKeys
from orchestrator_core.sessions.databases.base import Database
from orchestrator_core.sessions.jobs import processes, queries, turns, usage
from orchestrator_core.sessions.jobs.beginning import BeginTurn, Begun, Limits, read_session
from orchestrator_core.sessions.jobs.copies import BeginFork
from orchestrator_core.sessions.jobs.ending import end_turn
from orchestrator_core.sessions.jobs.finding import Find
from orchestrator_core.sessions.jobs.idempotency import KEEP, Claim, Settle, digest, redacted
from orchestrator_core.sessions.jobs.labels import labels_of
from orchestrator_core.sessions.jobs.purging import Purge
from orchestrator_core.sessions.jobs.rows import (
    Redact,
    SessionRow,
    masked,
    metadata_json,
    micros,
    micros_of,
    said,
    stored_answer,
    stored_messages,
)
from orchestrator_core.sessions.jobs.summarizing import AddSummary
from orchestrator_core.sessions.jobs.usage_columns import fit_usage
from orchestrator_core.sessions.models import (
    FinishedTurn,
    NewConversation,
    NewFork,
    NewSummary,
    NewTurn,
    Page,
    Session,
    SessionFilter,
    SessionStatus,
    StartedTurn,
    StoredMessage,
    StoredReply,
    StoredSummary,
    StoredTurn,
    TurnOutcome,
    new_id,
)
from orchestrator_core.sessions.recent import IDLE, RecentSessions
from orchestrator_core.sessions.searching import Searches
from orchestrator_core.sessions.settings import settings_json
from orchestrator_core.sessions.under_way import UnderWay


class Conversations:
    """Implements `SessionStore` with transactions that run on any `Database`."""

    def __init__(
        self,
        database: Database,
        *,
        max_idle: timedelta,
        max_turn: timedelta = timedelta(hours=1),
        redact: Redact = lambda text: text,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Make a store; `open` it.

        Args:
            database: Where everything is kept.
            max_idle: How long after its last turn a session takes another.
            max_turn: How long a turn may be pending before it is taken for abandoned.
            redact: Masks secrets in all text that is written.
            clock: Seconds since the epoch; None is the clock of the database.
        """
        self.database = database
        self.clients = ClientKeys(database, redact)
        self.recent = RecentSessions(idle=min(IDLE, max_idle.total_seconds()))
        self._limits = Limits(idle=micros(max_idle), turn=micros(max_turn), key=micros(KEEP))
        self._redact = redact
        self._clock = clock
        self._searches = Searches(database)
        self._under_way = UnderWay()

    async def open(self) -> None:
        """See `SessionStore.open`."""
        await self.database.open()

    async def close(self) -> None:
        """See `SessionStore.close`."""
        self.recent.clear()
        await self.database.close()

    async def ping(self) -> None:
        """See `SessionStore.ping`."""
        await self.database.write(queries.probe)

    async def create_session(
        self, tenant: str, *, user_id: str | None = None, metadata: Mapping[str, Json] | None = None
    ) -> Session:
        """See `SessionStore.create_session`."""
        now = self._now()
        row = await self.database.write(
            partial(
                queries.create_session,
                tenant=tenant,
                user_id=self._label(user_id),
                metadata=metadata_json(metadata, self._redact),
                labels=labels_of(metadata, self._redact),
                now=now,
            )
        )
        return self._session(tenant, row, now)

    async def get_session(self, tenant: str, session_id: str) -> Session:
        """See `SessionStore.get_session`."""
        row = await self.database.read(partial(read_session, tenant, session_id))
        return self._session(tenant, row, self._now())

    async def list_sessions(
        self,
        tenant: str,
        *,
        limit: int,
        offset: int = 0,
        matching: SessionFilter = SessionFilter(),  # noqa: B008 - it cannot be changed
        after: tuple[datetime, str] | None = None,
    ) -> Page[Session]:
        """See `SessionStore.list_sessions`."""
        now, since = self._now(), matching.inactive_since
        find = Find(
            tenant=tenant,
            user_id=self._label(matching.user_id),
            labels=[(self._redact(name), self._redact(value)) for name, value in matching.metadata.items()],
            status=matching.status,
            inactive_before=None if since is None else micros_of(since),
            idle_before=now - self._limits.idle,
            after=None if after is None else (micros_of(after[0]), after[1]),
            limit=limit,
            offset=offset,
        )
        rows = await self._searches.run(find)
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
        update = partial(
            queries.update_session,
            tenant=tenant,
            session_id=session_id,
            metadata=None if metadata is None else metadata_json(metadata, self._redact),
            labels=labels_of(metadata, self._redact),
            close=status == "closed",
            now=now,
        )
        with self.recent.forgetting(tenant, [session_id]):
            row = await self.database.write(update)
        return self._session(tenant, row, now)

    async def delete_session(self, tenant: str, session_id: str) -> None:
        """See `SessionStore.delete_session`."""
        with self.recent.forgetting(tenant, [session_id]):
            await self.database.write(partial(queries.delete_session, tenant, session_id), scrub=True)

    async def fork_session(self, tenant: str, session_id: str, fork: NewFork) -> Session:
        """See `SessionStore.fork_session`."""
        begin = BeginFork(
            tenant=tenant,
            source_id=session_id,
            session_id=new_id("sess"),
            process_id=self.database.process_id,
            message_id=fork.message_id,
            turn_id=fork.turn_id,
            before=fork.before,
            user_id=self._label(fork.user_id),
            metadata=None if fork.metadata is None else metadata_json(fork.metadata, self._redact),
            now=self._now(),
        )
        return self._session(tenant, await filling.fork(self.database, begin), begin.now)

    async def import_session(self, tenant: str, conversation: NewConversation) -> Session:
        """See `SessionStore.import_session`."""
        now = self._now()
        row = await filling.fill(self.database, tenant, conversation, self._redact, now)
        return self._session(tenant, row, now)

    async def purge(self, tenant: str, session_ids: Sequence[str], *, inactive_since: datetime | None = None) -> int:
        """See `SessionStore.purge`."""
        before = None if inactive_since is None else micros_of(inactive_since)
        purge = partial(queries.purge, tenant=tenant, session_ids=session_ids, inactive_before=before)
        with self.recent.forgetting(tenant, session_ids):
            return await self.database.write(purge, scrub=True)

    async def begin_turn(self, tenant: str, turn: NewTurn) -> StartedTurn:
        """See `SessionStore.begin_turn`."""
        job = BeginTurn(
            tenant=tenant,
            turn_id=new_id("turn"),
            process_id=self.database.process_id,
            session_id=turn.session_id,
            user_id=self._label(turn.user_id),
            metadata=metadata_json(turn.metadata, self._redact),
            labels=labels_of(turn.metadata, self._redact),
            client=turn.client,
            key=None if turn.idempotency_key is None else digest(turn.idempotency_key),
            fingerprint=turn.fingerprint,
            messages=tuple([masked(said(message), self._redact) for message in turn.messages]),
            now=self._now(),
            limits=self._limits,
            settings=None if turn.settings is None else settings_json(turn.settings, self._redact),
            fence=turn.fence,
            check=turn.check,
            kept=self.recent.find(tenant, turn.session_id),
        )
        try:
            begun = await self.database.write(job, undo=job.abandon)
        except (NotFound, SessionEnded):
            self.recent.drop(tenant, turn.session_id)
            raise
        try:
            started = await self._started(tenant, begun, job.now)
        except BaseException:
            if (step := job.abandon(begun)) is not None:  # it is stored, and nobody will answer it
                self.database.undo(step)
            raise
        self._under_way.put(tenant, begun)
        self.recent.begun(tenant, begun, started)
        return started

    async def finish_turn(self, tenant: str, started: StartedTurn, outcome: TurnOutcome) -> FinishedTurn:
        """See `SessionStore.finish_turn`.

        Raises:
            ValueError: The outcome is `pending`.
        """
        if outcome.state == "pending":
            raise ValueError("a turn cannot end as pending")
        known = self._under_way.take(tenant, started)
        job = end_turn(tenant, started, outcome, known, self._redact, self._now())
        try:
            session, row = ended = await self.database.write(job)
        except BaseException:
            self.recent.drop(tenant, None if known is None else known[0].id)  # it may have been deleted
            raise
        answer = None if row is None else stored_answer(row, job.message, job.answer)
        self.recent.ended(tenant, ended, answer)
        return FinishedTurn(
            session=self._session(tenant, session, job.now), answer=answer, unsummarized=session.unsummarized
        )

    async def history(self, tenant: str, session_id: str, *, limit: int, offset: int = 0) -> Page[StoredMessage]:
        """See `SessionStore.history`."""
        rows = await self.database.read(
            partial(queries.read_history, tenant=tenant, session_id=session_id, limit=limit, offset=offset)
        )
        return Page(stored_messages(rows[:limit]), len(rows) > limit)

    async def turns(self, tenant: str, session_id: str, *, limit: int, after: int = 0) -> Page[StoredTurn]:
        """See `SessionStore.turns`."""
        found, more = await self.database.read(
            partial(turns.read_turns, tenant=tenant, session_id=session_id, after=after, limit=limit)
        )
        return Page(found.stored(), more)

    async def turn(self, tenant: str, session_id: str, turn_id: str) -> StoredTurn:
        """See `SessionStore.turn`."""
        found = await self.database.read(
            partial(turns.read_turn, tenant=tenant, session_id=session_id, turn_id=turn_id)
        )
        return found.stored()[0]

    async def context(self, tenant: str, session_id: str, *, oldest: bool = False) -> StartedTurn:
        """See `SessionStore.context`."""
        read = partial(queries.context, tenant=tenant, session_id=session_id, oldest=oldest)
        return await self._started(tenant, await self.database.read(read), self._now())

    async def add_summary(self, tenant: str, session_id: str, summary: NewSummary) -> bool:
        """See `SessionStore.add_summary`."""
        summary = replace(summary, text=self._redact(summary.text), usage=fit_usage(summary.usage, self._redact))
        job = AddSummary(tenant, session_id, summary, self._now())
        return await self.database.write(job)

    async def summaries(
        self, tenant: str, session_id: str, *, limit: int | None = None, offset: int = 0
    ) -> Sequence[StoredSummary]:
        """See `SessionStore.summaries`."""
        return await self.database.read(
            partial(queries.read_summaries, tenant=tenant, session_id=session_id, limit=limit, offset=offset)
        )

    async def newest_summary(self, tenant: str, session_id: str) -> StoredSummary | None:
        """See `SessionStore.newest_summary`."""
        return await self.database.read(partial(queries.read_newest_summary, tenant=tenant, session_id=session_id))

    async def metrics(self, tenant: str, session_id: str) -> SessionMetrics:
        """See `SessionStore.metrics`."""
        return await self.database.read(partial(queries.read_metrics, tenant=tenant, session_id=session_id))

    async def totals(self, tenant: str | None) -> StoreTotals:
        """See `SessionStore.totals`."""
        since = self._now() - self._limits.idle
        return await self.database.read(partial(queries.read_totals, tenant=tenant, active_since=since))

    async def claim(self, tenant: str, key: str, fingerprint: str) -> StoredReply | int:
        """See `SessionStore.claim`."""
        job = Claim(
            tenant, digest(key), fingerprint, self._now(), self._limits.key, self._limits.turn, self.database.process_id
        )
        return await self.database.write(job, undo=job.abandon)

    async def settle(self, tenant: str, key: str, since: int, reply: StoredReply | None) -> None:
        """See `SessionStore.settle`."""
        kept = None if reply is None else redacted(reply, self._redact)
        await self.database.write(Settle(tenant, digest(key), since, kept, self.database.process_id))

    async def usage(
        self, tenant: str | None, *, by: Sequence[Dimension], matching: UsageFilter, limit: int, offset: int = 0
    ) -> Page[UsageTotal]:
        """See `SessionStore.usage`."""
        matching = replace(matching, user_id=self._label(matching.user_id))
        read = usage.ReadUsage(tenant=tenant, by=tuple(by), matching=matching, limit=limit, offset=offset)
        found = await self.database.read(read)
        return Page(found[:limit], len(found) > limit)

    async def add_usage(self, totals: Mapping[CallKind, CallTotal]) -> None:
        """See `SessionStore.add_usage`."""
        await self.database.write(partial(usage.add_calls, totals, self.database.process_id))

    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        """See `SessionStore.lease`."""
        taking = partial(processes.lease, name, holder, seconds, self.database.process_id)
        return await self.database.write(taking)

    async def release(self, name: str, holder: str) -> None:
        """See `SessionStore.release`."""
        await self.database.write(partial(processes.end_lease, name, holder))

    async def leave_finding(self, name: str, holder: str, finding: str) -> None:
        """See `SessionStore.leave_finding`."""
        await self.database.write(partial(processes.leave_finding, name, holder, self._redact(finding)))

    async def finding(self, name: str) -> str | None:
        """See `SessionStore.finding`."""
        return await self.database.read(partial(processes.read_finding, name))

    async def purge_expired(self, retention: timedelta | None, *, limit: int) -> int:
        """See `SessionStore.purge_expired`."""
        now = self._now()
        closed_before = None if retention is None else now - micros(retention)
        job = Purge(
            limit=limit,
            replies_before=now - self._limits.key,
            active_before=None if closed_before is None else closed_before - self._limits.idle,
            closed_before=closed_before,
        )
        return await self.database.write(job, scrub=True)

    def _now(self) -> int:
        return self.database.now() if self._clock is None else int(self._clock() * 1_000_000)

    async def _started(self, tenant: str, begun: Begun, now: int) -> StartedTurn:
        if begun.context.large:
            return await asyncio.to_thread(begun.started, tenant, now, self._limits)
        return begun.started(tenant, now, self._limits)

    def _label(self, user_id: str | None) -> str | None:
        return None if user_id is None else self._redact(user_id)

    def _session(self, tenant: str, row: SessionRow, now: int) -> Session:
        return row.session(tenant, now, self._limits.idle)

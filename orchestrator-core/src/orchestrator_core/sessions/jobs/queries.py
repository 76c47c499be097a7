"""The shorter transactions of the store."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import from_json

from orchestrator_core.provider_api import NotFound
from orchestrator_core.sessions.bills import SessionMetrics, StoreTotals
from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.jobs.beginning import (
    Begun,
    insert_session,
    read_session,
    write_labels,
)
from orchestrator_core.sessions.jobs.contexts import read_newest, read_oldest
from orchestrator_core.sessions.jobs.labels import Label
from orchestrator_core.sessions.jobs.rows import MessageRow, SessionRow, SummaryRow, moment, no_such_session
from orchestrator_core.sessions.models import StoredSummary, new_id
from orchestrator_core.sessions.steps import Row, Steps, do, lock, one, rows

_SECOND = 1_000_000
_PROBE_BYTES = 8192
_ALL = 2**31 - 1


def probe() -> Steps[None]:
    """Write something that needs room, and take it away."""
    key = new_id("probe")
    yield from do(statements.PROBE, key, bytes(_PROBE_BYTES))
    yield from do(statements.END_PROBE, key)


def create_session(
    *, tenant: str, user_id: str | None, metadata: str, labels: Sequence[Label], now: int
) -> Steps[SessionRow]:
    """Make a session."""
    session_id = new_id("sess")
    yield from insert_session(tenant, session_id, user_id, metadata, labels, now)
    return (yield from read_session(tenant, session_id))


def update_session(
    *, tenant: str, session_id: str, metadata: str | None, labels: Sequence[Label], close: bool, now: int
) -> Steps[SessionRow]:
    """Change a session."""
    yield from lock(statements.LOCK_SESSION, tenant, session_id)
    session = yield from read_session(tenant, session_id)
    if metadata is not None:
        yield from do(statements.SET_METADATA, metadata, tenant, session_id)
        yield from do(statements.DELETE_LABELS, tenant, session_id)
        yield from write_labels(tenant, session_id, labels, session.created_at)
    if close:
        yield from do(statements.CLOSE_SESSION, now, tenant, session_id)
    return (yield from read_session(tenant, session_id))


def delete_session(tenant: str, session_id: str) -> Steps[None]:
    """Delete a session, all that belongs to it, and the replies that repeat its answers.

    Raises:
        NotFound: No such session.
    """
    yield from lock(statements.LOCK_SESSION, tenant, session_id)
    yield from do(statements.DELETE_REPLIES, tenant, session_id)
    yield from do(statements.DELETE_REPLIES_OF_SESSION, tenant, session_id)
    if not (yield from rows(statements.DELETE_SESSION, tenant, session_id)):
        raise no_such_session()


def purge(*, tenant: str, session_ids: Sequence[str], inactive_before: int | None) -> Steps[int]:
    """Delete sessions, but those that had a turn meanwhile; return how many."""
    deleted = 0
    for session_id in sorted(session_ids):
        try:
            yield from lock(statements.LOCK_SESSION, tenant, session_id)
            session = yield from read_session(tenant, session_id)
            if inactive_before is not None and session.active_at >= inactive_before:
                continue
            yield from delete_session(tenant, session_id)
        except NotFound:
            continue
        deleted += 1
    return deleted


def read_history(*, tenant: str, session_id: str, limit: int, offset: int) -> Steps[Sequence[MessageRow]]:
    """Read one message more than asked for, where there is one. Places have no gaps: the offset is one."""
    yield from read_session(tenant, session_id)
    return (yield from rows(statements.GET_HISTORY, tenant, session_id, min(offset, _ALL), limit + 1))


def context(*, tenant: str, session_id: str, oldest: bool) -> Steps[Begun]:
    """Read what a turn would see, or what is to be condensed first."""
    session = yield from read_session(tenant, session_id)
    read = read_oldest if oldest else read_newest
    return Begun("", session, (yield from read(tenant, session)))


def read_summaries(*, tenant: str, session_id: str, limit: int | None, offset: int) -> Steps[Sequence[StoredSummary]]:
    """Read summaries, oldest first, each with the turns that it covers itself."""
    yield from read_session(tenant, session_id)
    most = _ALL if limit is None else limit
    found = yield from rows(statements.GET_SUMMARIES, tenant, session_id, most, offset)
    return (yield from _with_turns(tenant, session_id, found))


def read_newest_summary(*, tenant: str, session_id: str) -> Steps[StoredSummary | None]:
    """Read the last summary of the ledger."""
    yield from read_session(tenant, session_id)
    found = yield from rows(statements.GET_NEWEST_SUMMARY, tenant, session_id)
    return next(iter((yield from _with_turns(tenant, session_id, found))), None)


def _with_turns(tenant: str, session_id: str, found: Sequence[Row]) -> Steps[Sequence[StoredSummary]]:
    summaries = [SummaryRow._make(row) for row in found]
    if not summaries:
        return []
    covered = (tenant, session_id, summaries[0].from_sequence, summaries[-1].upto_sequence)
    turns = yield from rows(statements.GET_SUMMARIZED_TURNS, *covered)
    return [row.summary(turns) for row in summaries]


def read_metrics(*, tenant: str, session_id: str) -> Steps[SessionMetrics]:
    """Read a session's totals."""
    row = yield from one(statements.GET_METRICS, tenant, session_id)
    if row is None:
        raise no_such_session()
    message_count, providers, tokens, cost, turns, seconds, last_summary_at, created_at = row
    if cost is None and not tokens and not (yield from one(statements.HAS_ANSWERED_TURN, tenant, session_id)):
        cost = 0.0
    return SessionMetrics(
        session_id=session_id,
        message_count=message_count,
        providers_used=from_json(providers),
        total_tokens=tokens,
        total_cost=cost,
        average_response_time=seconds / turns if turns else 0.0,
        last_summary_at=None if last_summary_at is None else moment(last_summary_at),
        created_at=moment(created_at),
    )


def read_totals(*, tenant: str | None, active_since: int) -> Steps[StoreTotals]:
    """Read the totals of a tenant, or of all."""
    created = duration = active = 0
    for (each,) in [(tenant,)] if tenant is not None else (yield from rows(statements.LIST_TENANTS)):
        ((made, took),) = yield from rows(statements.GET_TENANT, each)
        ((going_on,),) = yield from rows(statements.COUNT_ACTIVE, each, active_since)
        created, duration, active = created + made, duration + took, active + going_on
    average = duration / created / _SECOND if created else 0.0
    return StoreTotals(active=active, total_created=created, average_duration=average)

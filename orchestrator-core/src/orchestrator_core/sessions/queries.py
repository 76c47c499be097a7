"""The shorter jobs of the store: plain functions of a connection."""

from __future__ import annotations

import sqlite3

from pydantic_core import from_json

from orchestrator_core.sessions import statements
from orchestrator_core.sessions.beginning import Begun, insert_session, read_context
from orchestrator_core.sessions.beginning import read_session as _read_session
from orchestrator_core.sessions.models import SessionMetrics, StoreTotals, new_id
from orchestrator_core.sessions.rows import MessageRow, SessionRow, moment, no_such_session

_SECOND = 1_000_000


def recover(connection: sqlite3.Connection, *, now: int, keep: int) -> None:
    """Put in order what the last process left: pending turns, claimed keys, old replies."""
    connection.execute(statements.INTERRUPT_TURNS, (now,))
    connection.execute(statements.FREE_CLAIMS, (now - keep,))


def probe(connection: sqlite3.Connection) -> None:
    """Write something that needs room, and take it away."""
    key = new_id("probe")
    connection.execute(statements.PROBE, (key,))
    connection.execute(statements.END_PROBE, (key,))


def create_session(
    connection: sqlite3.Connection, *, tenant: str, user_id: str | None, metadata: str, now: int
) -> SessionRow:
    """Make a session."""
    session_id = new_id("sess")
    insert_session(connection, tenant, session_id, user_id, metadata, now)
    return _read_session(connection, tenant, session_id)


def read_session(connection: sqlite3.Connection, *, tenant: str, session_id: str) -> SessionRow:
    """Read a session."""
    return _read_session(connection, tenant, session_id)


def list_sessions(
    connection: sqlite3.Connection, *, tenant: str, limit: int, offset: int, user_id: str | None
) -> list[SessionRow]:
    """Read one session more than asked for, where there is one."""
    if user_id is None:
        rows = connection.execute(statements.LIST_SESSIONS, (tenant, limit + 1, offset))
    else:
        rows = connection.execute(statements.LIST_SESSIONS_OF_USER, (tenant, user_id, limit + 1, offset))
    return [SessionRow._make(row) for row in rows.fetchall()]


def update_session(
    connection: sqlite3.Connection, *, tenant: str, session_id: str, metadata: str | None, close: bool, now: int
) -> SessionRow:
    """Change a session."""
    if metadata is not None:
        connection.execute(statements.SET_METADATA, (metadata, tenant, session_id))
    if close:
        connection.execute(statements.CLOSE_SESSION, (now, tenant, session_id))
    return _read_session(connection, tenant, session_id)


def delete_session(connection: sqlite3.Connection, tenant: str, session_id: str) -> None:
    """Delete a session, all that belongs to it, and the replies that repeat its answers.

    Raises:
        NotFound: No such session.
    """
    connection.execute(statements.DELETE_REPLIES, (tenant, session_id))
    if connection.execute(statements.DELETE_SESSION, (tenant, session_id)).rowcount == 0:
        raise no_such_session()


def read_history(
    connection: sqlite3.Connection, *, tenant: str, session_id: str, limit: int, offset: int
) -> list[MessageRow]:
    """Read one message more than asked for, where there is one. Places have no gaps: the offset is one."""
    _read_session(connection, tenant, session_id)
    return connection.execute(statements.GET_HISTORY, (tenant, session_id, offset, limit + 1)).fetchall()


def context(connection: sqlite3.Connection, *, tenant: str, session_id: str) -> Begun:
    """Read what a turn would see."""
    session = _read_session(connection, tenant, session_id)
    return Begun("", session, read_context(connection, tenant, session))


def read_metrics(connection: sqlite3.Connection, *, tenant: str, session_id: str) -> SessionMetrics:
    """Read a session's totals."""
    row = connection.execute(statements.GET_METRICS, (tenant, session_id)).fetchone()
    if row is None:
        raise no_such_session()
    message_count, providers, tokens, cost, turns, seconds, last_summary_at, created_at = row
    return SessionMetrics(
        session_id=session_id,
        message_count=message_count,
        providers_used=from_json(providers),
        total_tokens=tokens,
        total_cost=0.0 if cost is None and not turns else cost,
        average_response_time=seconds / turns if turns else 0.0,
        last_summary_at=None if last_summary_at is None else moment(last_summary_at),
        created_at=moment(created_at),
    )


def read_totals(connection: sqlite3.Connection, *, tenant: str, active_since: int) -> StoreTotals:
    """Read a tenant's totals."""
    created, duration = connection.execute(statements.GET_TENANT, (tenant,)).fetchone() or (0, 0)
    (active,) = connection.execute(statements.COUNT_ACTIVE, (tenant, active_since)).fetchone()
    average = duration / created / _SECOND if created else 0.0
    return StoreTotals(active=active, total_created=created, average_duration=average)

"""Finding sessions, newest first, in pages that cost the same however far they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.jobs.labels import Label
from orchestrator_core.sessions.jobs.rows import SessionRow
from orchestrator_core.sessions.models import SessionStatus
from orchestrator_core.sessions.steps import Steps, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """Which sessions to read.

    Attributes:
        tenant: Whose they are.
        user_id: The label that they have.
        labels: What their metadata say, all of it.
        status: How they are.
        inactive_before: They had no turn since, in microseconds.
        idle_before: What was last active before this, in microseconds, is expired.
        after: The time and the id of the session that they follow.
        limit: How many at most; one more is read, where there is one.
        offset: How many to skip.
    """

    tenant: str
    user_id: str | None
    labels: Sequence[Label]
    status: SessionStatus | None
    inactive_before: int | None
    idle_before: int
    after: tuple[int, str] | None
    limit: int
    offset: int

    def __call__(self) -> Steps[list[SessionRow]]:
        """Read the sessions."""
        sql = find_sessions(
            labels=len(self.labels),
            user=self.user_id is not None,
            status=self.status,
            inactive=self.inactive_before is not None,
            after=self.after is not None,
        )
        values: list[str | int] = [self.tenant]
        for label in self.labels:
            values += label
        if self.user_id is not None:
            values.append(self.user_id)
        if self.status in ("active", "expired"):
            values.append(self.idle_before)
        if self.inactive_before is not None:
            values.append(self.inactive_before)
        if self.after is not None:
            values += self.after
        return [SessionRow._make(row) for row in (yield from rows(sql, *values, self.limit + 1, self.offset))]


# The sign before a column keeps SQLite from walking that column's index, and then sorting what it finds.
_STATUS = {
    "active": "AND s.closed_at IS NULL AND +s.active_at >= ? ",
    "expired": "AND s.closed_at IS NULL AND +s.active_at < ? ",
    "closed": "AND s.closed_at IS NOT NULL ",
}


@cache
def find_sessions(*, labels: int, user: bool, status: SessionStatus | None, inactive: bool, after: bool) -> str:
    """Return the statement that finds sessions; it walks one index, and looks at each of the rows that it passes.

    Args:
        labels: How many labels they have to have; the first of them is walked.
        user: Whether they have to have a user's label.
        status: How they have to be.
        inactive: Whether they have to be quiet since a time.
        after: Whether they follow another one.
    """
    columns, _, joins = statements.SESSION.partition("FROM sessions s")
    walked, sql = "s", statements.SESSION + "WHERE s.tenant = ? "
    if labels:
        walked = "l"
        sql = (
            f"{columns}FROM labels l CROSS JOIN sessions s{joins}"
            "WHERE l.tenant = ? AND l.name = ? AND l.value = ? AND s.tenant = l.tenant AND s.id = l.session_id "
        )
    for _ in range(1, labels):
        sql += (
            "AND EXISTS (SELECT 1 FROM labels k WHERE k.tenant = s.tenant AND k.name = ? AND k.value = ? "
            "AND k.created_at = s.created_at AND k.session_id = s.id) "
        )
    sql += "AND s.filled_by IS NULL "
    if user:
        sql += "AND s.user_id = ? "
    if status is not None:
        sql += _STATUS[status]
    if inactive:
        sql += "AND +s.active_at < ? "
    identity = "l.session_id" if labels else "s.id"
    if after:
        sql += f"AND ({walked}.created_at, {identity}) < (?, ?) "
    return sql + f"ORDER BY {walked}.created_at DESC, {identity} DESC LIMIT ? OFFSET ?"

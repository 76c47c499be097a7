"""Deleting what nobody will ask for any more, a bounded part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.steps import Steps, do, lock, one, rows


@dataclass(frozen=True, slots=True)
class Purge:
    """The transaction that deletes a part of what is over, of all tenants.

    Attributes:
        limit: The most sessions, and the most replies, that it deletes.
        replies_before: Replies to requests that came before this are deleted.
        active_before: Sessions that expired, and whose last turn came before this, are deleted; None keeps them all.
        closed_before: Sessions that were closed before this are deleted; None keeps them all.
    """

    limit: int
    replies_before: int
    active_before: int | None
    closed_before: int | None

    def __call__(self) -> Steps[int]:
        """Delete a part; return how many sessions and replies it was."""
        deleted = len((yield from rows(statements.FORGET_CLAIMS, self.replies_before, self.limit)))
        left = self.limit
        for statement, before in self._kinds():
            for (tenant,) in (yield from rows(statements.LIST_TENANTS)):
                if not left:
                    break
                for (session_id,) in (yield from rows(statement, tenant, before, left)):
                    left -= yield from self._delete(tenant, session_id)
        return deleted + self.limit - left

    def _kinds(self) -> Iterator[tuple[str, int]]:
        if self.active_before is not None:
            yield statements.LIST_EXPIRED, self.active_before
        if self.closed_before is not None:
            yield statements.LIST_CLOSED, self.closed_before

    def _delete(self, tenant: str, session_id: str) -> Steps[int]:
        """Delete a session and the replies that repeat its answers, unless a turn has just begun on it."""
        yield from lock(statements.LOCK_SESSION, tenant, session_id)
        if (yield from one(statements.STILL_ENDED, tenant, session_id, self.active_before)) is None:
            return 0
        yield from do(statements.DELETE_REPLIES, tenant, session_id)
        yield from do(statements.DELETE_REPLIES_OF_SESSION, tenant, session_id)
        yield from do(statements.DELETE_SESSION, tenant, session_id)
        return 1

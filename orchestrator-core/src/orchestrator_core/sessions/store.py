"""The protocol of the conversation store. The tenant is the first argument of every method, and of every query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from orchestrator_core.provider_api import Json
from orchestrator_core.sessions.bills import (
    CallKind,
    CallTotal,
    Dimension,
    SessionMetrics,
    StoreTotals,
    UsageFilter,
    UsageTotal,
)
from orchestrator_core.sessions.clients import ClientStore
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
)


class SessionStore(Protocol):
    """Keeps conversations. A method that returns has stored durably what it was given.

    Every method raises `StorageBusy`, `StorageFull` or `StorageError`, within a bounded time. A session of another
    tenant raises `NotFound`, exactly as one that never was.
    """

    @property
    def clients(self) -> ClientStore:
        """The keys of the clients, which belong to no tenant: each names one."""
        ...

    async def open(self) -> None:
        """Bring the schema up to date, and mark turns that the last process left pending as interrupted."""
        ...

    async def close(self) -> None:
        """Finish what was begun and close."""
        ...

    async def ping(self) -> None:
        """Make sure that the store can be written."""
        ...

    async def create_session(
        self, tenant: str, *, user_id: str | None = None, metadata: Mapping[str, Json] | None = None
    ) -> Session:
        """Make a session."""
        ...

    async def get_session(self, tenant: str, session_id: str) -> Session:
        """Read a session."""
        ...

    async def list_sessions(
        self,
        tenant: str,
        *,
        limit: int,
        offset: int = 0,
        matching: SessionFilter = SessionFilter(),  # noqa: B008 - it cannot be changed
        after: tuple[datetime, str] | None = None,
    ) -> Page[Session]:
        """Read a page of sessions, newest first.

        Args:
            tenant: Whose they are.
            limit: How many at most.
            offset: How many to skip, which takes longer the more they are.
            matching: Which ones.
            after: `created_at` and `id` of the session that they follow; it may be gone.
        """
        ...

    async def update_session(
        self,
        tenant: str,
        session_id: str,
        *,
        metadata: Mapping[str, Json] | None = None,
        status: SessionStatus | None = None,
    ) -> Session:
        """Replace the metadata, or close the session; what is None stays.

        Raises:
            NotFound: No such session.
            InvalidRequest: A status other than `closed`.
        """
        ...

    async def delete_session(self, tenant: str, session_id: str) -> None:
        """Delete a session and all that belongs to it."""
        ...

    async def fork_session(self, tenant: str, session_id: str, fork: NewFork) -> Session:
        """Make a session that begins with what was said in another one, which stays as it is.

        Messages, turns and the newest summary that covers no more are copied under new ids; tokens and costs are not,
        so that nothing is counted twice. The copy is active, whatever the original is.

        Raises:
            NotFound: No such session, or it has no such message or turn.
            SessionBusy: The turn is under way.
        """
        ...

    async def import_session(self, tenant: str, conversation: NewConversation) -> Session:
        """Make a session of a conversation that took place elsewhere.

        It is active, and counts in no totals but its own: what it cost was paid where it took place.
        """
        ...

    async def purge(self, tenant: str, session_ids: Sequence[str], *, inactive_since: datetime | None = None) -> int:
        """Delete sessions with all that belongs to them, in one transaction.

        Args:
            tenant: Whose they are.
            session_ids: Which ones; those that are gone are passed over.
            inactive_since: Those that had a turn since stay.

        Returns:
            How many were deleted.
        """
        ...

    async def begin_turn(self, tenant: str, turn: NewTurn) -> StartedTurn:
        """Store a turn's messages and its pending row, in one transaction, and read its context.

        A turn that came before with the same idempotency key: where it ended with an answer, that is returned in
        `finished`; where it failed, was interrupted or left by its client as the last turn of its session, it is taken
        up again without doubling its messages, and a partial answer is replaced; where it is under way,
        `RequestInFlight`. A partial answer is given in `finished` where the conversation went on after it. Keys mean
        the same turn for 24 hours.

        A pending turn that nobody ended for long blocks its session no more. A caller that is cancelled leaves no
        pending turn behind.

        Raises:
            NotFound: No such session.
            SessionBusy: Another turn of the session is pending.
            SessionEnded: The session is expired or closed.
            RequestInFlight: The turn of this idempotency key is pending.
            IdempotencyMismatch: The idempotency key was used for another session or other messages.
            Conflict: The turn of this idempotency key had no answer, and the conversation went on.
        """
        ...

    async def finish_turn(self, tenant: str, started: StartedTurn, outcome: TurnOutcome) -> FinishedTurn:
        """Store how a turn ended, with its answer and its usage, in one transaction.

        A turn that has ended stays as it ended, and that is returned. A failed turn has no answer. What several tries
        of a turn used is added up; each try ends itself alone.

        Raises:
            NotFound: No such turn; its session may have been deleted.
            Conflict: The turn was taken up again, or for abandoned, and the conversation went on without this answer.
            ValueError: The outcome is `pending`.
        """
        ...

    async def history(self, tenant: str, session_id: str, *, limit: int, offset: int = 0) -> Page[StoredMessage]:
        """Read a page of messages, oldest first, those of failed turns among them."""
        ...

    async def turns(self, tenant: str, session_id: str, *, limit: int, after: int = 0) -> Page[StoredTurn]:
        """Read a page of turns with their messages, oldest first.

        Args:
            tenant: Whose they are.
            session_id: The session.
            limit: How many at most.
            after: `first_sequence` of the turn that they follow; 0 is the beginning.
        """
        ...

    async def turn(self, tenant: str, session_id: str, turn_id: str) -> StoredTurn:
        """Read a turn with its messages.

        Raises:
            NotFound: No such session, or it has no such turn.
        """
        ...

    async def context(self, tenant: str, session_id: str, *, oldest: bool = False) -> StartedTurn:
        """Read what a turn would see now, for summaries; `turn_id` is empty.

        Args:
            tenant: Whose it is.
            session_id: The session.
            oldest: Where that is more than a turn has room for, read the oldest messages of it, not the newest.
        """
        ...

    async def add_summary(self, tenant: str, session_id: str, summary: NewSummary) -> bool:
        """Store a summary if `replaces` still is the newest one and it covers more; return whether it was stored."""
        ...

    async def summaries(
        self, tenant: str, session_id: str, *, limit: int | None = None, offset: int = 0
    ) -> Sequence[StoredSummary]:
        """Read the ledger of summaries, or a part of it, oldest first."""
        ...

    async def newest_summary(self, tenant: str, session_id: str) -> StoredSummary | None:
        """Read the last entry of the ledger; None where there is none."""
        ...

    async def metrics(self, tenant: str, session_id: str) -> SessionMetrics:
        """Read a session's totals."""
        ...

    async def totals(self, tenant: str | None) -> StoreTotals:
        """Read the totals of a tenant, or of all where it is None."""
        ...

    async def usage(
        self, tenant: str | None, *, by: Sequence[Dimension], matching: UsageFilter, limit: int, offset: int = 0
    ) -> Page[UsageTotal]:
        """Read what a tenant used, or all of them where it is None, added up, ordered by what it is split by."""
        ...

    async def add_usage(self, totals: Mapping[CallKind, CallTotal]) -> None:
        """Count calls that no turn and no summary accounts for, in their session's totals too where they have one."""
        ...

    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew a lease, for what one process alone is to do at a time; it belongs to no tenant.

        What a process that has ended held is free.

        Args:
            name: What is to be done.
            holder: Who wants to do it.
            seconds: How long nobody else may.

        Returns:
            Whether it is the holder's now.
        """
        ...

    async def release(self, name: str, holder: str) -> None:
        """Give a lease up; one that somebody else has stays."""
        ...

    async def leave_finding(self, name: str, holder: str, finding: str) -> None:
        """Leave what was found under a lease for all other processes, where the holder still has it."""
        ...

    async def finding(self, name: str) -> str | None:
        """Read what was left under a lease; None where nobody has it, or nothing was left yet."""
        ...

    async def purge_expired(self, retention: timedelta | None, *, limit: int) -> int:
        """Delete sessions that ended long ago, and replies that are not given again any more; of all tenants.

        Args:
            retention: How long sessions are kept after they expired or were closed; None keeps them.
            limit: The most sessions, and the most replies, that are deleted by one call.

        Returns:
            How many were deleted; 0 where nothing is left to do.
        """
        ...

    async def claim(self, tenant: str, key: str, fingerprint: str) -> StoredReply | int:
        """Claim an idempotency key for a request, or get the reply that it already had.

        Args:
            tenant: Whose key it is.
            key: The client's `Idempotency-Key`.
            fingerprint: A digest of method, path and body.

        Returns:
            The reply; or since when the key is claimed, which names this claim.

        Raises:
            RequestInFlight: Another request holds the key.
            IdempotencyMismatch: The key was used for another request.
        """
        ...

    async def settle(self, tenant: str, key: str, since: int, reply: StoredReply | None) -> None:
        """Keep the reply of a claimed key; None gives the key free, so that the request may be tried again.

        A claim that is settled, or not there any more, stays as it is, and so does a later one.
        """
        ...

"""The transaction that begins a turn: its messages, its pending row, and the context that it is answered in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator_core.provider_api import Conflict, IdempotencyMismatch, RequestInFlight, SessionBusy
from orchestrator_core.sessions.errors import RETRY_AFTER
from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.jobs.contexts import Context, Kept, join, read_newest
from orchestrator_core.sessions.jobs.labels import Label
from orchestrator_core.sessions.jobs.rows import (
    MessageRow,
    Said,
    SessionRow,
    TurnRow,
    session_row,
    shard,
    stored_message,
)
from orchestrator_core.sessions.models import StartedTurn, StoredMessage, new_id
from orchestrator_core.sessions.steps import Steps, Sum, Write, change, do, insert, lock, one, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long things last, in microseconds.

    Attributes:
        idle: A session, after its last turn.
        turn: A pending turn; an older one has lost the process that answered it.
        key: An idempotency key.
    """

    idle: int
    turn: int
    key: int


class Begun(NamedTuple):
    """What the job read; becoming messages costs time that the writer does not have.

    Attributes:
        turn_id: The turn.
        session: Its session.
        context: What the turn is answered in.
        ended: The turn, where it had an answer before.
        answer: That answer.
        turn: The turn, where it is to be answered.
    """

    turn_id: str
    session: SessionRow
    context: Context = Context()
    ended: TurnRow | None = None
    answer: MessageRow | None = None
    turn: TurnRow | None = None

    def started(self, tenant: str, now: int, limits: Limits) -> StartedTurn:
        """Return what a caller is told."""
        answer = None if self.answer is None else stored_message(self.answer)
        ended, messages = self.ended, self.context.messages()
        return StartedTurn(
            turn_id=self.turn_id,
            since=0 if self.turn is None else self.turn.started_at,
            session=self.session.session(tenant, now, limits.idle),
            summary=self.session.summary(),
            messages=messages,
            weight=self.context.weigh(messages),
            whole=self.context.whole,
            first_with_summary=is_new_summary(self.session) if ended is None else bool(ended.first_with_summary),
            finished=None if ended is None else ended.outcome(answer),
            answer=answer,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginTurn:
    """Everything that the job needs, ready to be written."""

    tenant: str
    turn_id: str
    process_id: str
    session_id: str | None
    user_id: str | None
    metadata: str
    labels: Sequence[Label]
    client: str
    key: str | None
    messages: tuple[Said, ...]
    now: int
    limits: Limits
    settings: str | None = None
    fingerprint: str | None = None
    fence: int | None = None
    check: Callable[[Sequence[StoredMessage]], None] | None = None
    kept: Kept | None = None

    def __call__(self) -> Steps[Begun]:
        """Begin the turn, or find how it ended.

        Raises:
            RequestError: See `SessionStore.begin_turn`.
        """
        if self.key is not None:
            row = yield from one(statements.GET_TURN_BY_KEY, self.tenant, self.key)
            if row is not None:
                turn = TurnRow._make(row)
                if turn.started_at + self.limits.key >= self.now:
                    return (yield from self._again(turn))
                yield from do(statements.FORGET_TURN_KEY, self.tenant, turn.id)
        return (yield from self._anew())

    def _anew(self) -> Steps[Begun]:
        if self.kept is not None and self._can_go_on(self.kept):
            begun = yield from self._begin(self._fenced(self.kept.session), Context(known=self.kept), certain=False)
            if begun is not None:
                return begun
        session = yield from self._session()
        context = yield from join(self.tenant, session, self.messages, self.kept)
        if self.check is not None:
            self.check(context.messages())
        begun = yield from self._begin(session, context)
        if begun is None:
            raise RuntimeError("a session that is locked does not change")
        return begun

    def _can_go_on(self, kept: Kept) -> bool:
        """Whether the turn can begin with what is kept of its session, if that still is how the session stands."""
        session = kept.session
        return (
            self.check is None
            and session.last_turn_state == "complete"
            and session.status(self.now, self.limits.idle) == "active"
            and (self.fence is None or self.fence >= session.fence)
            and kept.leaves_room(self.messages)
        )

    def _fenced(self, session: SessionRow) -> SessionRow:
        return session if self.fence is None else session._replace(fence=self.fence)

    def _begin(self, session: SessionRow, context: Context, *, certain: bool = True) -> Steps[Begun | None]:
        """Write a new turn; None, and nothing is written, where its session is not as it is thought to be.

        Args:
            session: The session.
            context: What was said in it.
            certain: Whether the session was read, and is locked.
        """
        now = max(self.now, session.active_at)
        turn = TurnRow(
            self.turn_id,
            session.id,
            "pending",
            now,
            session.summary_id,
            session.last_sequence + 1,
            len(self.messages),
            sum(message.role == "user" for message in self.messages),
            client=self.client,
        )
        after = self._after(session, turn, turn.messages, turn.user_messages)
        if not (yield from self._write_session(session, after, certain=certain)):
            return None
        yield Write(
            statements.INSERT_TURN,
            (
                self.tenant,
                turn.id,
                session.id,
                self.key,
                turn.summary_id,
                turn.first_sequence,
                turn.messages,
                turn.user_messages,
                now,
                self.process_id,
                self.client,
                self.settings,
                self.fingerprint,
            ),
        )
        written = list[MessageRow]()
        for sequence, message in enumerate(self.messages, turn.first_sequence):
            message_id = new_id("msg")
            row = (self.tenant, session.id, sequence, message_id, turn.id, *message, now)
            yield Write(statements.INSERT_MESSAGE, row)
            written.append((message_id, sequence, turn.id, "pending", *message, now, None, None))
        return Begun(turn.id, after, context.followed_by(written), turn=turn)

    def _session(self) -> Steps[SessionRow]:
        if self.session_id is None:
            session_id = new_id("sess")
            yield from insert_session(self.tenant, session_id, self.user_id, self.metadata, self.labels, self.now)
            return SessionRow(session_id, self.user_id, self.metadata, self.now)
        yield from lock(statements.LOCK_SESSION, self.tenant, self.session_id)
        session = yield from read_session(self.tenant, self.session_id)
        session.check_open(self.now, self.limits.idle)
        if self.fence is not None and self.fence < session.fence:
            raise SessionBusy("Another turn of this session came in between. Try again.", retry_after=RETRY_AFTER)
        session = self._fenced(session)
        if session.last_turn_state == "pending":
            if (session.last_turn_at or 0) + self.limits.turn >= self.now:
                raise SessionBusy(
                    "Another turn of this session is under way. Wait for its end.", retry_after=RETRY_AFTER
                )
            place = (self.tenant, session.last_turn_id)
            yield from do(statements.ABANDON_TURN, "interrupted", "abandoned", self.now, *place)
        return session

    def _again(self, turn: TurnRow) -> Steps[Begun]:
        """Answer a key that came before."""
        yield from lock(statements.LOCK_SESSION, self.tenant, turn.session_id)
        (row,) = yield from rows(statements.GET_TURN, self.tenant, turn.id)
        turn = TurnRow._make(row)
        same = self.fingerprint == turn.fingerprint and (yield from self._said_before(turn)) == self.messages
        if self.session_id not in {None, turn.session_id} or not same:
            raise IdempotencyMismatch("This Idempotency-Key was used for another turn. Use a new one.")
        session = yield from read_session(self.tenant, turn.session_id)
        answer = None
        if turn.answer_sequence is not None:
            answer = yield from one(statements.GET_MESSAGE, self.tenant, turn.session_id, turn.answer_sequence)
        if turn.state == "pending":
            if turn.started_at + self.limits.turn >= self.now:
                raise RequestInFlight(
                    "The first request with this Idempotency-Key is under way. Wait for its end.",
                    retry_after=RETRY_AFTER,
                )
        elif turn.state == "complete":
            return Begun(turn.id, session, ended=turn, answer=answer)
        if session.last_turn_id == turn.id and session.summarized < turn.first_sequence:
            return (yield from self._resume(session, turn))
        if answer is not None:
            return Begun(turn.id, session, ended=turn, answer=answer)
        raise Conflict("This turn had no answer, and the conversation went on. Send it with a new Idempotency-Key.")

    def _said_before(self, turn: TurnRow) -> Steps[tuple[Said, ...]]:
        place = (self.tenant, turn.session_id, turn.first_sequence, turn.last_sequence)
        return tuple(Said._make(row) for row in (yield from rows(statements.GET_SAID, *place)))

    def _resume(self, session: SessionRow, turn: TurnRow) -> Steps[Begun]:
        read = session
        session.check_open(self.now, self.limits.idle)
        now = max(self.now, turn.started_at + 1)  # no two tries have one name
        if turn.answer_sequence is not None:
            yield from do(statements.DELETE_MESSAGE, self.tenant, session.id, turn.answer_sequence)
            session = session._replace(last_sequence=session.last_sequence - 1, unsummarized=session.unsummarized - 1)
        if turn.state == "failed":
            session = session._replace(
                message_count=session.message_count + turn.user_messages,
                unsummarized=session.unsummarized + turn.messages,
            )
        again = (session.summary_id, now, self.process_id, self.settings)
        yield from do(statements.RESUME_TURN, *again, self.tenant, turn.id)
        turn = turn._replace(state="pending", started_at=now, summary_id=session.summary_id, answer_sequence=None)
        context = yield from read_newest(self.tenant, session)
        after = self._after(session, turn)
        yield from self._write_session(read, after)
        return Begun(turn.id, after, context, turn=turn)

    def _after(self, session: SessionRow, turn: TurnRow, messages: int = 0, users: int = 0) -> SessionRow:
        """Return the session with a turn under way, and so many new messages, some of them the user's."""
        return session._replace(
            message_count=session.message_count + users,
            last_sequence=session.last_sequence + messages,
            unsummarized=session.unsummarized + messages,
            last_turn_id=turn.id,
            last_turn_state="pending",
            last_turn_at=turn.started_at,
        )

    def _write_session(self, before: SessionRow, session: SessionRow, *, certain: bool = True) -> Steps[bool]:
        """Write that the session has a turn under way; return whether it was as it is thought to have been."""
        now = session.last_turn_at or 0
        values = (
            session.last_turn_id,
            now,
            now,
            session.message_count,
            session.last_sequence,
            session.unsummarized,
            session.fence,
            self.tenant,
            session.id,
            before.last_turn_id or "",
            before.last_sequence,
            before.summary_id or "",
        )
        if certain:
            yield Write(statements.SESSION_BEGINS_TURN, values)
        elif not (yield from change(statements.SESSION_BEGINS_TURN, (self.tenant, session.id), *values)):
            return False
        longer = now - before.active_at
        if longer:
            yield Sum(statements.ADD_TO_TENANT, (self.tenant,), shard(session.id), (0, longer))
        return True

    def abandon(self, begun: Begun) -> AbandonTurn | None:
        """Return what is to be done for a caller that left before it knew of its turn."""
        if begun.turn is None:
            return None
        return AbandonTurn(self.tenant, begun.turn_id, begun.turn.started_at, self.now)


@dataclass(frozen=True, slots=True)
class AbandonTurn:
    """Ends a try of a turn that nobody will answer."""

    tenant: str
    turn_id: str
    since: int
    now: int

    def __call__(self) -> Steps[None]:
        """End the turn, unless somebody has taken it up again."""
        ended = ("client_closed", "client_closed", self.now, self.tenant)
        yield from do(statements.ABANDON_TRY, *ended, self.turn_id, self.since)


def insert_session(
    tenant: str,
    session_id: str,
    user_id: str | None,
    metadata: str,
    labels: Sequence[Label],
    now: int,
    parent: str | None = None,
) -> Steps[None]:
    """Write a session with what it can be found by, and count it."""
    yield from do(statements.INSERT_SESSION, tenant, session_id, user_id, metadata, now, now, parent)
    yield from write_labels(tenant, session_id, labels, now)
    yield count_session(tenant, session_id)


def count_session(tenant: str, session_id: str) -> Sum:
    """Return what counts a session."""
    return Sum(statements.ADD_TO_TENANT, (tenant,), shard(session_id), (1, 0))


def write_labels(tenant: str, session_id: str, labels: Sequence[Label], created_at: int) -> Steps[None]:
    """Write what a session can be found by."""
    yield from insert(statements.INSERT_LABELS, [(tenant, *label, created_at, session_id) for label in labels])


def read_session(tenant: str, session_id: str) -> Steps[SessionRow]:
    """Read a session.

    Raises:
        NotFound: No such session.
    """
    return session_row((yield from one(statements.GET_SESSION, tenant, session_id)))


def is_new_summary(session: SessionRow) -> bool:
    """Whether no complete answer was made with the newest summary yet."""
    return session.summary_id is not None and session.summary_id != session.seen_summary_id

"""The job that begins a turn: its messages, its pending row, and the context that it is answered in."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator_core.provider_api import Conflict, IdempotencyMismatch, RequestInFlight, SessionBusy
from orchestrator_core.sessions import statements
from orchestrator_core.sessions.connection import RETRY_AFTER
from orchestrator_core.sessions.models import StartedTurn, StoredMessage, new_id
from orchestrator_core.sessions.rows import MessageRow, Said, SessionRow, TurnRow, session_row, stored_message


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
    """What the job read; becoming messages costs time that the writer does not have."""

    turn_id: str
    session: SessionRow
    context: Sequence[MessageRow]
    ended: TurnRow | None = None
    answer: MessageRow | None = None

    def started(self, tenant: str, now: int, limits: Limits) -> StartedTurn:
        """Return what a caller is told."""
        answer = None if self.answer is None else stored_message(self.answer)
        ended = self.ended
        return StartedTurn(
            turn_id=self.turn_id,
            session=self.session.session(tenant, now, limits.idle),
            summary=self.session.summary(),
            messages=[stored_message(row) for row in self.context],
            first_with_summary=is_new_summary(self.session) if ended is None else bool(ended.first_with_summary),
            finished=None if ended is None else ended.outcome(answer),
            answer=answer,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginTurn:
    """Everything that the job needs, ready to be written."""

    tenant: str
    session_id: str | None
    user_id: str | None
    metadata: str
    key: str | None
    messages: tuple[Said, ...]
    now: int
    limits: Limits
    check: Callable[[Sequence[StoredMessage]], None] | None = None

    def __call__(self, connection: sqlite3.Connection) -> Begun:
        """Begin the turn, or find how it ended.

        Raises:
            RequestError: See `SessionStore.begin_turn`.
        """
        if self.key is not None:
            row = connection.execute(statements.GET_TURN_BY_KEY, (self.tenant, self.key)).fetchone()
            if row is not None:
                turn = TurnRow._make(row)
                if turn.started_at + self.limits.key >= self.now:
                    return self._again(connection, turn)
                connection.execute(statements.FORGET_TURN_KEY, (self.tenant, turn.id))
        return self._anew(connection)

    def _anew(self, connection: sqlite3.Connection) -> Begun:
        session = self._session(connection)
        if self.check is not None:
            self.check([stored_message(row) for row in read_context(connection, self.tenant, session)])
        now = max(self.now, session.last_turn_at or session.created_at)
        first = session.last_sequence + 1
        turn_id = new_id("turn")
        users = sum(message.role == "user" for message in self.messages)
        connection.execute(
            statements.INSERT_TURN,
            (self.tenant, turn_id, session.id, self.key, session.summary_id, first, len(self.messages), users, now),
        )
        for sequence, message in enumerate(self.messages, first):
            connection.execute(
                statements.INSERT_MESSAGE,
                (self.tenant, session.id, sequence, new_id("msg"), turn_id, *message, now),
            )
        session = session._replace(
            message_count=session.message_count + users,
            last_sequence=session.last_sequence + len(self.messages),
            unsummarized=session.unsummarized + len(self.messages),
        )
        return self._go_on(connection, session, turn_id, now)

    def _session(self, connection: sqlite3.Connection) -> SessionRow:
        if self.session_id is None:
            session_id = new_id("sess")
            insert_session(connection, self.tenant, session_id, self.user_id, self.metadata, self.now)
            return read_session(connection, self.tenant, session_id)
        session = read_session(connection, self.tenant, self.session_id)
        session.check_open(self.now, self.limits.idle)
        if session.last_turn_state == "pending":
            if (session.last_turn_at or 0) + self.limits.turn >= self.now:
                raise SessionBusy(
                    "Another turn of this session is under way. Wait for its end.", retry_after=RETRY_AFTER
                )
            connection.execute(
                statements.ABANDON_TURN, ("interrupted", "abandoned", self.now, self.tenant, session.last_turn_id)
            )
        return session

    def _again(self, connection: sqlite3.Connection, turn: TurnRow) -> Begun:
        """Answer a key that came before."""
        if self.session_id not in {None, turn.session_id} or self._said_before(connection, turn) != self.messages:
            raise IdempotencyMismatch("This Idempotency-Key was used for another turn. Use a new one.")
        session = read_session(connection, self.tenant, turn.session_id)
        answer = None
        if turn.answer_sequence is not None:
            answer = connection.execute(
                statements.GET_MESSAGE, (self.tenant, turn.session_id, turn.answer_sequence)
            ).fetchone()
        if turn.state == "pending":
            if turn.started_at + self.limits.turn >= self.now:
                raise RequestInFlight(
                    "The first request with this Idempotency-Key is under way. Wait for its end.",
                    retry_after=RETRY_AFTER,
                )
        elif turn.state == "complete":
            return Begun(turn.id, session, (), turn, answer)
        if session.last_turn_id == turn.id and session.summarized < turn.first_sequence:
            return self._resume(connection, session, turn)
        if answer is not None:
            return Begun(turn.id, session, (), turn, answer)
        raise Conflict("This turn had no answer, and the conversation went on. Send it with a new Idempotency-Key.")

    def _said_before(self, connection: sqlite3.Connection, turn: TurnRow) -> tuple[Said, ...]:
        rows = connection.execute(
            statements.GET_SAID, (self.tenant, turn.session_id, turn.first_sequence, turn.last_sequence)
        )
        return tuple(Said._make(row) for row in rows.fetchall())

    def _resume(self, connection: sqlite3.Connection, session: SessionRow, turn: TurnRow) -> Begun:
        session.check_open(self.now, self.limits.idle)
        now = max(self.now, session.last_turn_at or 0)
        if turn.answer_sequence is not None:
            connection.execute(statements.DELETE_MESSAGE, (self.tenant, session.id, turn.answer_sequence))
            session = session._replace(last_sequence=session.last_sequence - 1, unsummarized=session.unsummarized - 1)
        if turn.state == "failed":
            session = session._replace(
                message_count=session.message_count + turn.user_messages,
                unsummarized=session.unsummarized + turn.messages,
            )
        connection.execute(statements.RESUME_TURN, (session.summary_id, now, self.tenant, turn.id))
        return self._go_on(connection, session, turn.id, now)

    def _go_on(self, connection: sqlite3.Connection, session: SessionRow, turn_id: str, now: int) -> Begun:
        longer = now - (session.last_turn_at or session.created_at)
        connection.execute(
            statements.SESSION_BEGINS_TURN,
            (
                turn_id,
                now,
                now,
                session.message_count,
                session.last_sequence,
                session.unsummarized,
                self.tenant,
                session.id,
            ),
        )
        if longer:
            connection.execute(statements.ADD_DURATION, (longer, self.tenant))
        session = session._replace(last_turn_id=turn_id, last_turn_state="pending", last_turn_at=now)
        return Begun(turn_id, session, read_context(connection, self.tenant, session))

    def abandon(self, begun: Begun) -> AbandonTurn | None:
        """Return what is to be done for a caller that left before it knew of its turn."""
        return None if begun.ended is not None else AbandonTurn(self.tenant, begun.turn_id, self.now)


@dataclass(frozen=True, slots=True)
class AbandonTurn:
    """Ends a turn that nobody will answer."""

    tenant: str
    turn_id: str
    now: int

    def __call__(self, connection: sqlite3.Connection) -> None:
        """End the turn."""
        connection.execute(
            statements.ABANDON_TURN, ("client_closed", "client_closed", self.now, self.tenant, self.turn_id)
        )


def insert_session(
    connection: sqlite3.Connection, tenant: str, session_id: str, user_id: str | None, metadata: str, now: int
) -> None:
    """Write a session, and count it."""
    connection.execute(statements.INSERT_SESSION, (tenant, session_id, user_id, metadata, now, now))
    connection.execute(statements.COUNT_SESSION, (tenant,))


def read_session(connection: sqlite3.Connection, tenant: str, session_id: str) -> SessionRow:
    """Read a session.

    Raises:
        NotFound: No such session.
    """
    return session_row(connection.execute(statements.GET_SESSION, (tenant, session_id)).fetchone())


def read_context(connection: sqlite3.Connection, tenant: str, session: SessionRow) -> list[MessageRow]:
    """Read the messages after the summary."""
    return connection.execute(statements.GET_CONTEXT, (tenant, session.id, session.summarized)).fetchall()


def is_new_summary(session: SessionRow) -> bool:
    """Whether no complete answer was made with the newest summary yet."""
    return session.summary_id is not None and session.summary_id != session.seen_summary_id

"""The job that ends a turn: its answer, what it used, and the session's counters."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator_core.provider_api import NotFound
from orchestrator_core.sessions import statements
from orchestrator_core.sessions.beginning import read_session
from orchestrator_core.sessions.models import TurnOutcome, new_id
from orchestrator_core.sessions.rows import (
    MessageRow,
    Said,
    SessionRow,
    TurnRow,
    attempts_json,
    providers_with,
    usage_columns,
)


class Ended(NamedTuple):
    """What the job left: the session and the answer."""

    session: SessionRow
    answer: MessageRow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndTurn:
    """Everything that the job needs, ready to be written."""

    tenant: str
    turn_id: str
    outcome: TurnOutcome
    answer: Said | None
    adjustments: str
    now: int

    def __call__(self, connection: sqlite3.Connection) -> Ended:
        """End the turn; one that has ended stays as it is.

        Raises:
            NotFound: No such turn.
        """
        row = connection.execute(statements.GET_TURN, (self.tenant, self.turn_id)).fetchone()
        if row is None:
            raise NotFound("There is no such turn. Its session may have been deleted.")
        turn = TurnRow._make(row)
        session = read_session(connection, self.tenant, turn.session_id)
        if turn.state == "pending":
            return self._end(connection, session, turn)
        if turn.answer_sequence is None:
            return Ended(session, None)
        place = (self.tenant, session.id, turn.answer_sequence)
        return Ended(session, connection.execute(statements.GET_MESSAGE, place).fetchone())

    def _end(self, connection: sqlite3.Connection, session: SessionRow, turn: TurnRow) -> Ended:
        outcome, place, answer = self.outcome, None, None
        if self.answer is not None:
            place, message_id = session.last_sequence + 1, new_id("msg")
            connection.execute(
                statements.INSERT_MESSAGE,
                (self.tenant, session.id, place, message_id, turn.id, *self.answer, self.now),
            )
            answer = (
                message_id,
                place,
                turn.id,
                outcome.state,
                *self.answer,
                self.now,
                outcome.provider,
                outcome.model,
            )
            session = session._replace(last_sequence=place, unsummarized=session.unsummarized + 1)
        if outcome.state == "failed":
            uncovered = turn.last_sequence - max(session.summarized, turn.first_sequence - 1)
            session = session._replace(
                message_count=session.message_count - turn.user_messages,
                unsummarized=session.unsummarized - max(0, uncovered),
            )
        self._write_turn(connection, session, turn, place)
        if outcome.state == "complete":
            session = session._replace(seen_summary_id=self._summary(turn))
        self._write_session(connection, session)
        return Ended(session._replace(last_turn_state=outcome.state), answer)

    def _summary(self, turn: TurnRow) -> str | None:
        return self.outcome.summary_id or turn.summary_id

    def _write_turn(
        self, connection: sqlite3.Connection, session: SessionRow, turn: TurnRow, place: int | None
    ) -> None:
        outcome, summary = self.outcome, self._summary(turn)
        # A turn that was taken up again has used both: what its tries cost is not forgotten.
        before = turn.usage()
        usage = outcome.usage if before is None else before + outcome.usage if outcome.usage else before
        cost = outcome.cost if turn.cost is None else turn.cost + (outcome.cost or 0.0)
        connection.execute(
            statements.END_TURN,
            (
                outcome.state,
                summary,
                summary is not None and summary != session.seen_summary_id,
                place,
                outcome.provider,
                outcome.model,
                outcome.finish_reason,
                *usage_columns(usage),
                cost,
                outcome.price_version or turn.price_version,
                attempts_json(turn.attempts, outcome.attempts),
                self.adjustments,
                outcome.error_code,
                outcome.duration,
                self.now,
                self.tenant,
                turn.id,
            ),
        )

    def _write_session(self, connection: sqlite3.Connection, session: SessionRow) -> None:
        outcome = self.outcome
        complete = outcome.state == "complete"
        connection.execute(
            statements.SESSION_ENDS_TURN,
            (
                session.message_count,
                session.last_sequence,
                session.unsummarized,
                session.seen_summary_id,
                providers_with(session.providers, outcome.provider if self.answer is not None else None),
                outcome.usage.total if outcome.usage else 0,
                outcome.cost,
                outcome.cost,
                int(complete),
                outcome.duration if complete else 0.0,
                self.tenant,
                session.id,
            ),
        )

"""The transaction that ends a turn: its answer, what it used, and the counters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from orchestrator_core.provider_api import Conflict, Message, NotFound
from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.jobs.rows import (
    MessageRow,
    Redact,
    Said,
    SessionRow,
    TurnRow,
    adjustments_json,
    attempts_json,
    masked,
    providers_with,
    said,
)
from orchestrator_core.sessions.jobs.usage import usage_sum
from orchestrator_core.sessions.jobs.usage_columns import fit_usage, usage_columns
from orchestrator_core.sessions.models import StartedTurn, TurnOutcome, new_id
from orchestrator_core.sessions.steps import Steps, Write, change, lock, one

GIVEN_UP = frozenset({"process_ended", "abandoned"})
"""The codes of turns that were ended in the place of a process that was not heard of. It may be heard of again."""

_TURN: Final = len(TurnRow._fields)


class Ended(NamedTuple):
    """What the job left: the session and the answer."""

    session: SessionRow
    answer: MessageRow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndTurn:
    """Everything that the job needs, ready to be written.

    Attributes:
        since: Which try of the turn it is, see `StartedTurn`.
        answer: What is stored of the answer.
        message: The answer, where nothing of it is masked.
        known: The session and the turn as they were when it began, where this process began it: while nothing came in
            between, they need not be read again.
    """

    tenant: str
    turn_id: str
    since: int
    outcome: TurnOutcome
    answer: Said | None
    message: Message | None
    adjustments: str
    now: int
    known: tuple[SessionRow, TurnRow] | None = None

    def __call__(self) -> Steps[Ended]:
        """End this try of the turn; what has ended stays as it is.

        Raises:
            NotFound: No such turn.
            Conflict: The turn was taken for abandoned and somebody went on without it, or somebody took it up again.
        """
        if self.known is not None:
            ended = yield from self._end(*self.known)
            if ended is not None:
                return ended
        yield from lock(statements.LOCK_SESSION_OF_TURN, self.tenant, self.turn_id)
        row = yield from one(statements.GET_TURN_AND_SESSION, self.tenant, self.turn_id)
        if row is None:
            raise NotFound("There is no such turn. Its session may have been deleted.")
        turn, session = TurnRow._make(row[:_TURN]), SessionRow._make(row[_TURN:])
        given_up = turn.state == "interrupted" and turn.error_code in GIVEN_UP
        taken_up = turn.started_at != self.since
        if not taken_up and (turn.state == "pending" or given_up):
            ended = yield from self._end(session, turn)
            if ended is not None:
                return ended
        if self.answer is not None and (given_up or taken_up):
            raise _too_late()
        if turn.answer_sequence is None:
            return Ended(session, None)
        place = (self.tenant, session.id, turn.answer_sequence)
        return Ended(session, (yield from one(statements.GET_MESSAGE, *place)))

    def _end(self, session: SessionRow, turn: TurnRow) -> Steps[Ended | None]:
        """End the turn, unless its session is not as it left it any more; None, and nothing is written, then."""
        outcome, answer = self.outcome, None
        after = self._after(session, turn)
        if not (yield from self._write_session(session, after, turn)):
            return None
        if self.answer is not None:
            answer = (
                new_id("msg"),
                after.last_sequence,
                turn.id,
                outcome.state,
                *self.answer,
                self.now,
                outcome.provider,
                outcome.model,
            )
            row = (self.tenant, session.id, after.last_sequence, answer[0], turn.id, *self.answer, self.now)
            yield Write(statements.INSERT_MESSAGE, row)
        if outcome.provider is not None:
            yield usage_sum(
                self.tenant,
                session,
                turn.client or "",
                "chat",
                outcome.provider,
                outcome.model or "",
                outcome.usage,
                outcome.cost,
                outcome.duration,
                self.now,
            )
        if not (yield from self._write_turn(session, turn, None if answer is None else after.last_sequence)):
            raise _too_late()
        return Ended(after, answer)

    def _after(self, session: SessionRow, turn: TurnRow) -> SessionRow:
        """Return the session as the turn leaves it."""
        state, answers = self.outcome.state, int(self.answer is not None)
        users = uncovered = 0
        if state == "failed":
            users = turn.user_messages
            uncovered = max(0, turn.last_sequence - max(session.summarized, turn.first_sequence - 1))
        return session._replace(
            message_count=session.message_count - users,
            last_sequence=session.last_sequence + answers,
            unsummarized=session.unsummarized + answers - uncovered,
            providers=providers_with(session.providers, self.outcome.provider if answers else None),
            seen_summary_id=self._summary(turn) if state == "complete" else session.seen_summary_id,
            last_turn_state=state,
        )

    def _summary(self, turn: TurnRow) -> str | None:
        return self.outcome.summary_id or turn.summary_id

    def _write_turn(self, session: SessionRow, turn: TurnRow, place: int | None) -> Steps[int]:
        outcome, summary = self.outcome, self._summary(turn)
        # A turn that was taken up again has used both: what its tries cost is not forgotten.
        before = turn.usage()
        usage = outcome.usage if before is None else before + outcome.usage if outcome.usage else before
        cost = outcome.cost if turn.cost is None else turn.cost + (outcome.cost or 0.0)
        return (
            yield from change(
                statements.END_TURN,
                (self.tenant, turn.id),
                outcome.state,
                summary,
                int(summary is not None and summary != session.seen_summary_id),
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
                turn.started_at,
            )
        )

    def _write_session(self, before: SessionRow, session: SessionRow, turn: TurnRow) -> Steps[int]:
        outcome = self.outcome
        complete = outcome.state == "complete"
        return (
            yield from change(
                statements.SESSION_ENDS_TURN,
                (self.tenant, session.id),
                session.message_count,
                session.last_sequence,
                session.unsummarized,
                session.seen_summary_id,
                session.providers,
                outcome.usage.total if outcome.usage else 0,
                outcome.cost,
                outcome.cost,
                int(complete),
                outcome.duration if complete else 0.0,
                self.tenant,
                session.id,
                turn.id,
                turn.started_at,
                before.last_sequence,
                before.summary_id or "",
            )
        )


def end_turn(
    tenant: str,
    started: StartedTurn,
    outcome: TurnOutcome,
    known: tuple[SessionRow, TurnRow] | None,
    redact: Redact,
    now: int,
) -> EndTurn:
    """Return the job that ends a turn, with everything masked; see `EndTurn`."""
    message = None if outcome.state == "failed" else outcome.message
    written = None if message is None else said(message)
    answer = None if written is None else masked(written, redact)
    usage = fit_usage(outcome.usage, redact)
    return EndTurn(
        tenant=tenant,
        turn_id=started.turn_id,
        since=started.since,
        outcome=outcome if usage is outcome.usage else replace(outcome, usage=usage),
        answer=answer,
        message=message if answer == written else None,
        adjustments=adjustments_json(outcome.adjustments, redact),
        now=now,
        known=known,
    )


def _too_late() -> Conflict:
    return Conflict("This turn took too long, and the conversation went on without its answer. Ask again.")

"""The transactions that fill a session from what was exported: rows that were made before, many in a statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator_core.sessions.jobs import copy_statements
from orchestrator_core.sessions.jobs.copies import CopiedTurn, Filled, SessionHead
from orchestrator_core.sessions.jobs.rows import (
    Redact,
    SessionRow,
    adjustments_json,
    attempts_json,
    masked,
    micros_of,
    said,
)
from orchestrator_core.sessions.jobs.usage_columns import fit_usage, usage_columns
from orchestrator_core.sessions.models import NewConversation, StoredSummary, StoredTurn, new_id
from orchestrator_core.sessions.steps import Steps, insert


@dataclass(frozen=True, slots=True)
class Part:
    """What one transaction writes.

    Attributes:
        turns: Rows of turns.
        messages: Rows of messages.
        summaries: Rows of summaries.
    """

    turns: Sequence[tuple[Any, ...]]
    messages: Sequence[tuple[Any, ...]]
    summaries: Sequence[tuple[Any, ...]] = ()

    def write(self) -> Steps[None]:
        """Write the rows."""
        yield from insert(copy_statements.IMPORT_TURN, self.turns)
        yield from insert(copy_statements.IMPORT_MESSAGE, self.messages)
        yield from insert(copy_statements.IMPORT_SUMMARY, self.summaries)


@dataclass(frozen=True, slots=True)
class Import:
    """A conversation, ready to be written.

    Attributes:
        head: The new session.
        parts: Its rows.
        filled: What it holds then.
        summary: The id and the time of its newest summary.
        totals: Tokens, cost, answered turns and their seconds.
    """

    head: SessionHead
    parts: Sequence[Part]
    filled: Filled
    summary: tuple[str, int] | None
    totals: tuple[int, float | None, int, float]

    def show(self) -> Steps[SessionRow]:
        """Let the new session be there."""
        return (yield from self.head.show(self.filled, self.summary, self.totals))


def prepare(head: SessionHead, conversation: NewConversation, redact: Redact, size: int) -> Import:
    """Make the rows of a conversation.

    Args:
        head: The session that they are for.
        conversation: What was said; it holds together.
        redact: Masks secrets in all text.
        size: Messages that one transaction writes.
    """
    summaries = {summary.id: new_id("sum") for summary in conversation.summaries}
    newest = conversation.summaries[-1] if conversation.summaries else None
    filled = Filled(summarized=newest.upto_sequence if newest else 0)
    tokens, cost, answered, seconds = 0, list[float](), 0, 0.0
    parts, turns, messages = list[Part](), list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for turn in conversation.turns:
        row = _turn(head, turn, summaries, redact)
        filled.add(row[0])
        turns.append(row[1])
        messages += _messages(head, turn, row[0].id, redact)
        outcome = turn.outcome
        tokens += outcome.usage.total if outcome.usage else 0
        cost += [] if outcome.cost is None else [outcome.cost]
        answered += outcome.state == "complete"
        seconds += outcome.duration if outcome.state == "complete" else 0.0
        if len(messages) >= size:
            parts.append(Part(turns, messages))
            turns, messages = [], []
    for summary in conversation.summaries:
        tokens += summary.usage.total if summary.usage else 0
        cost += [] if summary.cost is None else [summary.cost]
    ledger = [_summary(head, summary, summaries, redact) for summary in conversation.summaries]
    parts.append(Part(turns, messages, ledger))
    return Import(
        head,
        parts,
        filled,
        None if newest is None else (summaries[newest.id], micros_of(newest.created_at)),
        (tokens, sum(cost) if cost else None, answered, seconds),
    )


def _turn(
    head: SessionHead, turn: StoredTurn, summaries: dict[str, str], redact: Redact
) -> tuple[CopiedTurn, tuple[Any, ...]]:
    outcome = turn.outcome
    known = CopiedTurn(
        id=new_id("turn"),
        first_sequence=turn.first_sequence,
        state=outcome.state,
        messages=len(turn.said),
        user_messages=sum(stored.message.role == "user" for stored in turn.said),
        answer_sequence=turn.answer.sequence if turn.answer else None,
        provider=outcome.provider,
        summary_id=summaries.get(outcome.summary_id or ""),
        started_at=micros_of(turn.started_at),
    )
    return known, (
        head.tenant,
        known.id,
        head.session_id,
        known.state,
        known.summary_id,
        int(turn.first_with_summary),
        known.first_sequence,
        known.messages,
        known.user_messages,
        known.answer_sequence,
        known.provider,
        outcome.model,
        outcome.finish_reason,
        *usage_columns(fit_usage(outcome.usage, redact)),
        outcome.cost,
        outcome.price_version,
        redact(attempts_json("[]", outcome.attempts)),
        adjustments_json(outcome.adjustments, redact),
        outcome.error_code,
        outcome.duration,
        micros_of(turn.started_at),
        None if turn.finished_at is None else micros_of(turn.finished_at),
        turn.client,
        None if turn.settings is None else redact(turn.settings),
    )


def _messages(head: SessionHead, turn: StoredTurn, turn_id: str, redact: Redact) -> Iterable[tuple[Any, ...]]:
    for stored in turn.messages:
        written = masked(said(stored.message), redact)
        place = (head.tenant, head.session_id, stored.sequence, new_id("msg"), turn_id)
        yield (*place, *written, micros_of(stored.created_at))


def _summary(head: SessionHead, summary: StoredSummary, ids: dict[str, str], redact: Redact) -> tuple[Any, ...]:
    return (
        head.tenant,
        ids[summary.id],
        head.session_id,
        summary.from_sequence,
        summary.upto_sequence,
        ids.get(summary.replaces or ""),
        redact(summary.text),
        summary.provider,
        summary.model,
        *usage_columns(fit_usage(summary.usage, redact)),
        summary.cost,
        summary.tokens_before,
        summary.tokens_after,
        micros_of(summary.created_at),
    )

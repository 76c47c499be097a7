"""From the store to lines, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from dataclasses import asdict
from datetime import UTC, datetime

from pydantic_core import from_json

from orchestrator_core.provider_api import Usage, UsageDetails
from orchestrator_core.server.routes.health import package_version
from orchestrator_core.server.transfer.lines import (
    AdjustmentLine,
    AttemptLine,
    EndLine,
    HeaderLine,
    Line,
    MessageLine,
    SessionLine,
    SummaryLine,
    TurnLine,
    UsageDetailsLine,
    UsageLine,
)
from orchestrator_core.sessions.models import Session, StoredSummary, StoredTurn
from orchestrator_core.sessions.store import SessionStore

PAGE = 50
"""Turns that are read at once."""


async def export(store: SessionStore, tenant: str, session: Session) -> AsyncGenerator[bytes, None]:
    """Yield a session as lines, many at once. What is said meanwhile may or may not be there; it holds together.

    A turn that is under way is left out.

    Args:
        store: Where it is kept.
        tenant: Whose it is.
        session: The session.

    Raises:
        NotFound: It was deleted meanwhile.
    """
    yield _encoded(HeaderLine(exported_at=datetime.now(UTC), gateway=package_version()), _session(session))
    # Before the turns, so that no summary covers what is not there.
    summaries = await store.summaries(tenant, session.id)
    known = {summary.id for summary in summaries}
    turns = messages = after = 0
    more = True
    while more:
        page = await store.turns(tenant, session.id, limit=PAGE, after=after)
        ended = [turn for turn in page.items if turn.outcome.state != "pending"]
        if ended:
            yield _encoded(*(line for turn in ended for line in _turn(turn, known)))
            after = ended[-1].first_sequence
        turns, messages = turns + len(ended), messages + sum(len(turn.messages) for turn in ended)
        more = page.has_more and len(ended) == len(page.items)
    yield _encoded(*map(_summary, summaries), EndLine(turns=turns, messages=messages, summaries=len(summaries)))


def _encoded(*lines: Line) -> bytes:
    return b"".join(line.model_dump_json().encode() + b"\n" for line in lines)


def _session(session: Session) -> SessionLine:
    return SessionLine(
        id=session.id,
        user_id=session.user_id,
        metadata=dict(session.metadata),
        status=session.status,
        created_at=session.created_at,
        last_turn_at=session.last_turn_at,
        parent_id=session.parent_id,
    )


def _turn(turn: StoredTurn, summaries: set[str]) -> Iterator[TurnLine | MessageLine]:
    outcome = turn.outcome
    seen = outcome.summary_id if outcome.summary_id in summaries else None
    yield TurnLine(
        id=turn.id,
        state=outcome.state,
        messages=len(turn.said),
        answered=turn.answer is not None,
        started_at=turn.started_at,
        finished_at=turn.finished_at,
        provider=outcome.provider,
        model=outcome.model,
        finish_reason=outcome.finish_reason,
        usage=_usage(outcome.usage),
        cost=outcome.cost,
        price_version=outcome.price_version,
        attempts=tuple(AttemptLine(**asdict(attempt)) for attempt in outcome.attempts),
        adjustments=tuple(AdjustmentLine(**asdict(adjustment)) for adjustment in outcome.adjustments),
        error_code=outcome.error_code,
        duration=outcome.duration,
        client=turn.client,
        summary_id=seen,
        first_with_summary=turn.first_with_summary and seen is not None,
        settings=None if turn.settings is None else from_json(turn.settings),
    )
    for stored in turn.messages:
        message = stored.message
        yield MessageLine(
            id=stored.id,
            sequence=stored.sequence,
            role=message.role,
            name=message.name,
            parts=message.parts,
            created_at=stored.created_at,
        )


def _summary(summary: StoredSummary) -> SummaryLine:
    return SummaryLine(
        id=summary.id,
        from_sequence=summary.from_sequence,
        upto_sequence=summary.upto_sequence,
        text=summary.text,
        provider=summary.provider,
        model=summary.model,
        usage=_usage(summary.usage),
        cost=summary.cost,
        tokens_before=summary.tokens_before,
        tokens_after=summary.tokens_after,
        created_at=summary.created_at,
    )


def _usage(usage: Usage | None) -> UsageLine | None:
    if usage is None:
        return None
    details = UsageDetailsLine(**asdict(usage.details)) if usage.details != UsageDetails() else None
    return UsageLine(**usage.buckets(), details=details)

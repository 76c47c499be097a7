"""Rows of the database and what they mean: microseconds to times, JSON to parts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast
from zlib import crc32

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from orchestrator_core.provider_api import (
    PARTS,
    Adjustment,
    FinishReason,
    Json,
    Message,
    NotFound,
    Role,
    SessionEnded,
    Usage,
)
from orchestrator_core.sessions.jobs.usage_columns import read_details
from orchestrator_core.sessions.models import (
    Attempt,
    Session,
    SessionStatus,
    StoredMessage,
    StoredSummary,
    StoredTurn,
    TurnOutcome,
    TurnState,
)

Redact = Callable[[str], str]

SHARDS = 16

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ATTEMPTS: TypeAdapter[tuple[Attempt, ...]] = TypeAdapter(tuple[Attempt, ...])
_ADJUSTMENTS: TypeAdapter[tuple[Adjustment, ...]] = TypeAdapter(tuple[Adjustment, ...])


class SessionRow(NamedTuple):
    """What `statements.GET_SESSION` reads; what has a default here has it in the database."""

    id: str
    user_id: str | None
    metadata: str
    created_at: int
    last_turn_at: int | None = None
    closed_at: int | None = None
    message_count: int = 0
    last_sequence: int = 0
    unsummarized: int = 0
    providers: str = "[]"
    seen_summary_id: str | None = None
    last_turn_id: str | None = None
    last_turn_state: TurnState | None = None
    summary_id: str | None = None
    from_sequence: int | None = None
    upto_sequence: int | None = None
    summary_text: str | None = None
    summary_at: int | None = None
    summary_provider: str | None = None
    summary_model: str | None = None
    fence: int = 0
    parent_id: str | None = None

    @property
    def active_at(self) -> int:
        """When it was made, or had its last turn of its own: those that were copied into it are older."""
        return max(self.last_turn_at or 0, self.created_at)

    @property
    def summarized(self) -> int:
        """The last message that a summary covers; 0 where there is none."""
        return self.upto_sequence or 0

    def status(self, now: int, max_idle: int) -> SessionStatus:
        """Whether the session takes further turns."""
        if self.closed_at is not None:
            return "closed"
        return "expired" if self.active_at + max_idle < now else "active"

    def check_open(self, now: int, max_idle: int) -> None:
        """Refuse a turn on a session that is over.

        Raises:
            SessionEnded: It is expired or closed.
        """
        status = self.status(now, max_idle)
        if status == "expired":
            raise SessionEnded("The session has expired. Begin a new one.")
        if status == "closed":
            raise SessionEnded("The session is closed. Begin a new one.", code="session_closed")

    def session(self, tenant: str, now: int, max_idle: int) -> Session:
        """Return the session."""
        return Session(
            id=self.id,
            tenant=tenant,
            user_id=self.user_id,
            metadata=from_json(self.metadata),
            status=self.status(now, max_idle),
            created_at=moment(self.created_at),
            last_turn_at=None if self.last_turn_at is None else moment(self.last_turn_at),
            message_count=self.message_count,
            summary=self.summary_text,
            parent_id=self.parent_id,
        )

    def summary(self) -> StoredSummary | None:
        """Return the newest summary."""
        if self.summary_id is None:
            return None
        return StoredSummary(
            id=self.summary_id,
            from_sequence=self.from_sequence or 1,
            upto_sequence=self.summarized,
            text=self.summary_text or "",
            created_at=moment(self.summary_at or 0),
            provider=self.summary_provider,
            model=self.summary_model,
        )


class TurnRow(NamedTuple):
    """What `statements.GET_TURN` reads; what has a default here has it in the database."""

    id: str
    session_id: str
    state: TurnState
    started_at: int
    summary_id: str | None
    first_sequence: int
    messages: int
    user_messages: int
    answer_sequence: int | None = None
    first_with_summary: int = 0
    provider: str | None = None
    model: str | None = None
    finish_reason: FinishReason | None = None
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_details: str | None = None
    cost: float | None = None
    price_version: str | None = None
    attempts: str = "[]"
    adjustments: str = "[]"
    error_code: str | None = None
    duration: float = 0.0
    client: str | None = None
    finished_at: int | None = None
    has_key: bool = False
    settings: str | None = None
    fingerprint: str | None = None

    @property
    def last_sequence(self) -> int:
        """The last message of the turn, without its answer."""
        return self.first_sequence + self.messages - 1

    @property
    def end_sequence(self) -> int:
        """The last message of the turn."""
        return max(self.last_sequence, self.answer_sequence or 0)

    def usage(self) -> Usage | None:
        """Return the tokens of the turn, where they are known."""
        return _usage(self)

    def outcome(self, answer: StoredMessage | None) -> TurnOutcome:
        """Return how the turn ended."""
        return TurnOutcome(
            state=self.state,
            message=None if answer is None else answer.message,
            provider=self.provider,
            model=self.model,
            finish_reason=self.finish_reason,
            usage=self.usage(),
            cost=self.cost,
            price_version=self.price_version,
            attempts=_ATTEMPTS.validate_json(self.attempts),
            adjustments=_ADJUSTMENTS.validate_json(self.adjustments),
            error_code=self.error_code,
            duration=self.duration,
            summary_id=self.summary_id,
        )

    def turn(self, messages: Mapping[int, StoredMessage]) -> StoredTurn:
        """Return the turn.

        Args:
            messages: Those of the session, by their places; the turn's among them.
        """
        answer = None if self.answer_sequence is None else messages[self.answer_sequence]
        return StoredTurn(
            id=self.id,
            session_id=self.session_id,
            first_sequence=self.first_sequence,
            said=[messages[place] for place in range(self.first_sequence, self.last_sequence + 1)],
            answer=answer,
            outcome=self.outcome(answer),
            first_with_summary=bool(self.first_with_summary),
            idempotent=bool(self.has_key),
            client=self.client or "",
            started_at=moment(self.started_at),
            finished_at=None if self.finished_at is None else moment(self.finished_at),
            settings=self.settings,
        )


class SummaryRow(NamedTuple):
    """What `statements.GET_SUMMARIES` reads."""

    id: str
    from_sequence: int
    upto_sequence: int
    replaces: str | None
    text: str
    provider: str | None
    model: str | None
    input_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    usage_details: str | None
    cost: float | None
    tokens_before: int | None
    tokens_after: int | None
    created_at: int

    def summary(self, covered: Sequence[tuple[str, int]]) -> StoredSummary:
        """Return the summary.

        Args:
            covered: Turns and places of the session's messages, in their order.
        """
        first = bisect_left(covered, self.from_sequence, key=_place)
        own = (turn for turn, _ in covered[first : bisect_right(covered, self.upto_sequence, key=_place)])
        return StoredSummary(
            id=self.id,
            from_sequence=self.from_sequence,
            upto_sequence=self.upto_sequence,
            text=self.text,
            created_at=moment(self.created_at),
            provider=self.provider,
            model=self.model,
            replaces=self.replaces,
            usage=_usage(self),
            cost=self.cost,
            tokens_before=self.tokens_before,
            tokens_after=self.tokens_after,
            turn_ids=tuple(dict.fromkeys(own)),
        )


def _place(covered: tuple[str, int]) -> int:
    return covered[1]


def _usage(row: TurnRow | SummaryRow) -> Usage | None:
    if row.input_tokens is None:
        return None
    return Usage(
        row.input_tokens,
        row.cached_input_tokens or 0,
        row.cache_write_tokens or 0,
        row.output_tokens or 0,
        row.reasoning_tokens or 0,
        read_details(row.usage_details),
    )


# The adapters' own methods cost as much again.
_read_messages: Callable[[str], list[Message]] = TypeAdapter(list[Message]).validator.validate_json
_write_parts = PARTS.serializer.to_json


class Said(NamedTuple):
    """A message as it is written: role, name, parts as JSON."""

    role: Role
    name: str | None
    parts: str


MessageRow = tuple[str, int, str, TurnState, Role, str | None, str, int, str | None, str | None]
"""What `statements.GET_MESSAGE` reads."""


def stored_messages(rows: Sequence[MessageRow]) -> list[StoredMessage]:
    """Return messages; who answered stands on answers only."""
    # All are read as one text: a history is read in every turn, and one by one takes half as long again.
    written = [
        f'{{"role":"{role}","parts":{parts}}}'
        if name is None
        else f'{{"role":"{role}","name":{to_json(name).decode()},"parts":{parts}}}'
        for _, _, _, _, role, name, parts, _, _, _ in rows
    ]
    return list(map(_stored, rows, _read_messages(f"[{','.join(written)}]")))


def stored_message(row: MessageRow) -> StoredMessage:
    """Return a message."""
    return stored_messages((row,))[0]


def stored_answer(row: MessageRow, message: Message | None, written: Said | None) -> StoredMessage:
    """Return an answer; where it is a message that is known as it was written, it need not be read."""
    return stored_message(row) if message is None or row[4:7] != written else _stored(row, message)


def _stored(row: MessageRow, message: Message) -> StoredMessage:
    identity, sequence, turn_id, state, role, _, _, created_at, provider, model = row
    if role != "assistant":
        provider = model = None
    return StoredMessage(identity, sequence, turn_id, state, message, moment(created_at), provider, model)


def said(message: Message) -> Said:
    """Return a message as it is written, before anything is masked."""
    return Said(message.role, message.name, _write_parts(message.parts, exclude_none=True).decode())


def masked(said: Said, redact: Redact) -> Said:
    """Return a message as it is written."""
    return Said(said.role, None if said.name is None else redact(said.name), redact(said.parts))


def metadata_json(metadata: Mapping[str, Json] | None, redact: Redact) -> str:
    """Return the caller's data as it is written."""
    return redact(to_json(dict(metadata)).decode()) if metadata else "{}"


def shard(session_id: str) -> int:
    """Return in which part of a shared counter a session counts."""
    return crc32(session_id.encode()) % SHARDS


def attempts_json(before: str, attempts: Sequence[Attempt]) -> str:
    """Return the tries of a turn as they are written, after those that were written before."""
    if not attempts:
        return before
    known = () if before == "[]" else _ATTEMPTS.validate_json(before)
    return to_json((*known, *attempts)).decode()


def adjustments_json(adjustments: Sequence[Adjustment], redact: Redact) -> str:
    """Return what was changed in a request as it is written."""
    return redact(to_json(tuple(adjustments)).decode()) if adjustments else "[]"


def providers_with(written: str, provider: str | None) -> str:
    """Return the list of a session's providers as it is written, with one more."""
    known = cast("list[str]", from_json(written))
    return written if provider is None or provider in known else to_json([*known, provider]).decode()


def moment(micros: int) -> datetime:
    """Return the time of a number of microseconds since the epoch."""
    return _EPOCH + timedelta(0, 0, micros)  # by name takes half as long again


def micros_of(time: datetime) -> int:
    """Return a time in microseconds since the epoch."""
    return (time - _EPOCH) // _MICROSECOND


def micros(span: timedelta) -> int:
    """Return a span in microseconds."""
    return span // _MICROSECOND


def no_such_session() -> NotFound:
    """Return the error of an id that is unknown, or that belongs to somebody else."""
    return NotFound("There is no such session.")


def session_row(row: Any) -> SessionRow:
    """Return what was read of a session.

    Raises:
        NotFound: Nothing was read.
    """
    if row is None:
        raise no_such_session()
    return SessionRow._make(row)

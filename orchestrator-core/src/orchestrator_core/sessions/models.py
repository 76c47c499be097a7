"""What the store keeps: sessions, messages, turns, summaries. No wire format of any provider."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Literal, NamedTuple, TypeVar

from orchestrator_core.config.chance import random_hex
from orchestrator_core.provider_api import Adjustment, FinishReason, Json, Message, Usage
from orchestrator_core.sessions.settings import TurnSettings
from orchestrator_core.sessions.weights import Weight

T = TypeVar("T")

TurnState = Literal["pending", "complete", "interrupted", "failed", "client_closed"]
"""`pending`: under way. `complete`: answered to the end. `interrupted`: broken off after the first content, or by the
end of the process. `failed`: no provider answered. `client_closed`: the client left; what had come is kept."""

SessionStatus = Literal["active", "expired", "closed"]

CONTEXT_MESSAGES = 1000
"""The most messages beside the summary that a turn sees, and that one summary condenses."""

CONTEXT_BYTES = 32 * 1024 * 1024
"""The most characters of their parts, as they are stored."""


def new_id(prefix: str) -> str:
    """Make an id that sorts by time and cannot be guessed: `<prefix>_` and 32 hexadecimal digits."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{random_hex()[:20]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation as a whole.

    Attributes:
        id: `sess_...`.
        tenant: Who owns it.
        user_id: A label of the caller.
        metadata: The caller's own data.
        status: Whether it takes further turns.
        created_at: UTC.
        last_turn_at: When its last turn began, UTC, be it that it was copied; None before the first.
        message_count: The user's messages, without those of failed turns.
        summary: The text of the newest summary.
        parent_id: The session that it was copied from, which may be gone.
    """

    id: str
    tenant: str
    user_id: str | None
    metadata: Mapping[str, Json]
    status: SessionStatus
    created_at: datetime
    last_turn_at: datetime | None
    message_count: int
    summary: str | None
    parent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFilter:
    """Which sessions are meant; what is left out does not matter.

    Attributes:
        user_id: The label of the caller.
        metadata: Names and plain values that the caller's data have, all of them, as JSON writes numbers and truth.
        status: Whether they take further turns.
        inactive_since: They were made, and had their last turn, before.
    """

    user_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    status: SessionStatus | None = None
    inactive_since: datetime | None = None


class StoredMessage(NamedTuple):
    """A message in its place: a tuple, since a turn makes one for each message of its history.

    Attributes:
        id: `msg_...`.
        sequence: Its place in the session, from 1, without gaps.
        turn_id: The turn that it belongs to.
        turn_state: How that turn stands.
        message: The message itself.
        created_at: UTC.
        provider: For answers: who answered.
        model: For answers: the model that answered.
    """

    id: str
    sequence: int
    turn_id: str
    turn_state: TurnState
    message: Message
    created_at: datetime
    provider: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSummary:
    """A summary of the messages up to `upto_sequence`, those of earlier summaries among them.

    Attributes:
        id: `sum_...`.
        from_sequence: The first message that no earlier summary covered.
        upto_sequence: The last message that it covers.
        text: The summary.
        created_at: UTC.
        provider: Who wrote it.
        model: Which model wrote it.
        replaces: The id of the summary before it.
        usage: The tokens that it took, where the ledger is read.
        cost: USD; None where the price is unknown.
        tokens_before: An estimate of what it stands for.
        tokens_after: An estimate of what it takes itself.
        turn_ids: The turns from `from_sequence` on, where the ledger is read.
    """

    id: str
    from_sequence: int
    upto_sequence: int
    text: str
    created_at: datetime
    provider: str | None = None
    model: str | None = None
    replaces: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    tokens_before: int | None = None
    tokens_after: int | None = None
    turn_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTurn:
    """A turn that begins.

    Attributes:
        messages: What the caller says: one user message, or results of tools.
        session_id: The session to join; None makes one.
        user_id: The label for a session that is made.
        metadata: The caller's data for a session that is made.
        idempotency_key: The caller's key; a turn is made once for each.
        fingerprint: A digest of the request that has the key, all that it asks for.
        client: The public id of the client's key, for the totals.
        fence: The number of the lock that its caller holds; one smaller than the session has seen is refused.
        check: Looks at the context that the turn would join, in the transaction that stores it, and raises where the
            turn does not fit. A turn that is taken up again has been looked at before.
        settings: With what it is asked for, beside what is said.
    """

    messages: Sequence[Message]
    session_id: str | None = None
    user_id: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    idempotency_key: str | None = None
    fingerprint: str | None = None
    client: str = ""
    fence: int | None = None
    check: Callable[[Sequence[StoredMessage]], None] | None = None
    settings: TurnSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at one provider within a turn.

    Attributes:
        provider: Who was asked.
        model: For which model.
        duration: Seconds.
        error: The code of the error that ended it; None where it answered.
    """

    provider: str
    model: str
    duration: float
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOutcome:
    """How a turn ended.

    Attributes:
        state: Any but `pending`.
        message: The answer, or what came of it.
        provider: Who answered.
        model: The model that answered.
        finish_reason: Why it ended, of the first choice.
        usage: The tokens.
        cost: USD; None where the price is unknown.
        price_version: The price table that `cost` was computed with.
        attempts: Every try.
        adjustments: What of the request was mapped, downgraded or dropped.
        error_code: The code of the error that ended it.
        duration: Seconds from the request to the end of the answer.
        summary_id: The summary that the answer was made with, where that is newer than the one the turn began with.
    """

    state: TurnState
    message: Message | None = None
    provider: str | None = None
    model: str | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    cost: float | None = None
    price_version: str | None = None
    attempts: Sequence[Attempt] = ()
    adjustments: Sequence[Adjustment] = ()
    error_code: str | None = None
    duration: float = 0.0
    summary_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedTurn:
    """A turn whose beginning is stored.

    Attributes:
        turn_id: `turn_...`.
        since: When it began, or was taken up again, microseconds: this names the try.
        session: The session, with this turn's message counted; its metadata as this process knows them.
        summary: The newest summary.
        messages: Everything that was said after the summary, but in failed turns; this turn's messages last.
        weight: What these messages weigh.
        whole: Whether these are all of them: of very long conversations without a summary only the newest are read.
        first_with_summary: Whether `summary` was made since the last complete turn.
        finished: Where the idempotency key names a turn that has ended: how it ended. No provider is to be asked.
        answer: The stored answer of that turn.
    """

    turn_id: str
    since: int
    session: Session
    summary: StoredSummary | None
    messages: Sequence[StoredMessage]
    weight: Weight
    whole: bool = True
    first_with_summary: bool = False
    finished: TurnOutcome | None = None
    answer: StoredMessage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTurn:
    """A turn as it is kept.

    Attributes:
        id: `turn_...`.
        session_id: The session.
        first_sequence: The place of its first message.
        said: What the caller said.
        answer: The answer, or what came of it.
        outcome: How it ended; `pending` where it has not.
        first_with_summary: Whether its answer is the first that was made with the summary of `outcome`.
        idempotent: Whether it has an idempotency key.
        client: The public id of the client's key.
        started_at: UTC.
        finished_at: UTC; None while it is pending.
        settings: With what it was asked for, as JSON; None where that was not kept.
    """

    id: str
    session_id: str
    first_sequence: int
    said: Sequence[StoredMessage]
    answer: StoredMessage | None
    outcome: TurnOutcome
    first_with_summary: bool
    idempotent: bool
    client: str
    started_at: datetime
    finished_at: datetime | None
    settings: str | None = None

    @property
    def messages(self) -> Sequence[StoredMessage]:
        """Everything that was said in it, in order."""
        return self.said if self.answer is None else [*self.said, self.answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedTurn:
    """A turn whose end is stored.

    Attributes:
        session: The session after it; its metadata, and whether it was closed, as this process knows them.
        answer: The stored answer; None where there was none.
        unsummarized: How many stored messages no summary covers.
    """

    session: Session
    answer: StoredMessage | None
    unsummarized: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSummary:
    """A summary to be stored.

    Attributes:
        text: The summary.
        upto_sequence: The last message that it covers.
        replaces: The id of the summary that was the newest when this one was made; None where there was none.
        provider: Who wrote it.
        model: Which model wrote it.
        usage: The tokens.
        cost: USD; None where the price is unknown.
        duration: Seconds that it took.
        tokens_before: An estimate of what it stands for.
        tokens_after: An estimate of what it takes itself.
        client: The public id of the client's key, for the totals.
    """

    text: str
    upto_sequence: int
    replaces: str | None = None
    provider: str | None = None
    model: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    duration: float = 0.0
    tokens_before: int | None = None
    tokens_after: int | None = None
    client: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFork:
    """A session that is to begin as a copy of another one.

    Attributes:
        message_id: The last message that is copied. A turn that loses its answer by that is `interrupted` in the copy.
        turn_id: The last turn that is copied, where no message is named. Without either, all that has ended is.
        before: Whether `turn_id` is the first turn that is not copied.
        user_id: The label of the copy; None is that of the original.
        metadata: The caller's data; None is that of the original.
    """

    message_id: str | None = None
    turn_id: str | None = None
    before: bool = False
    user_id: str | None = None
    metadata: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConversation:
    """A conversation that took place elsewhere, and is to be kept as it was.

    It holds together: places from 1 without gaps, turns that have ended, summaries that follow on each other.

    Attributes:
        user_id: The label of its session.
        metadata: The caller's data.
        parent_id: The session that it was taken from.
        turns: The turns, oldest first; their ids and those of their messages are made anew.
        summaries: The ledger, oldest first; ids are made anew.
    """

    user_id: str | None
    metadata: Mapping[str, Json]
    parent_id: str | None
    turns: Sequence[StoredTurn]
    summaries: Sequence[StoredSummary]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list, and whether more follows."""

    items: Sequence[T]
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReply:
    """A response that an idempotency key gives again: status, content type and body as they were sent.

    Attributes:
        status: The status.
        content_type: What the body is.
        body: The body.
        headers: The gateway's own facts about the answer.
        session_id: The session that it tells of, with which it is deleted.
    """

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    session_id: str | None = None

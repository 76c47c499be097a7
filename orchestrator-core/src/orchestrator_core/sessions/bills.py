"""What was used, added up: who may ask for which totals, and what they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter
from typing import Final, Literal, NamedTuple, get_args

from orchestrator_core.provider_api import Usage

Dimension = Literal["day", "tenant", "user_id", "client", "provider", "model", "operation"]

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
"""What totals can be split by."""

Operation = Literal["chat", "embeddings", "summarize"]

MAX_TOKENS: Final = 2**40
"""Tokens of one kind in one call: a million times the largest window, and millions of calls add up in 64 bits."""

counts: Callable[[Usage], tuple[int, ...]] = attrgetter(*Usage().buckets())
"""Returns the tokens of a usage by kind, in the order of its buckets."""


def countable(usage: Usage) -> Usage:
    """Return a usage as it is counted: no call uses less than nothing, or more than `MAX_TOKENS` of a kind."""
    given = counts(usage)
    if min(given) >= 0 and max(given) <= MAX_TOKENS:
        return usage
    fresh, cached, written, output, reasoning = (min(max(0, count), MAX_TOKENS) for count in given)
    return Usage(fresh, cached, written, output, reasoning, usage.details)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFilter:
    """Which calls count; what is left out does not matter.

    Attributes:
        since: The first day, UTC.
        until: The last day, UTC.
        tenant: Whose calls they are.
        user_id: The label of the caller; "" for calls without one.
        client: The public id of the client's key.
        provider: The provider.
        model: The model.
        operation: What was done.
    """

    since: date | None = None
    until: date | None = None
    tenant: str | None = None
    user_id: str | None = None
    client: str | None = None
    provider: str | None = None
    model: str | None = None
    operation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotal:
    """The total of some calls.

    Attributes:
        key: What the calls have in common, by dimension; days are dates.
        calls: How many.
        usage: Their tokens.
        cost: USD, of the calls whose price is known; None where none is.
        unpriced: The calls whose price is unknown.
        seconds: How long they took together.
    """

    key: Mapping[str, str | date]
    calls: int
    usage: Usage
    cost: float | None
    unpriced: int
    seconds: float


class CallKind(NamedTuple):
    """What calls must have in common to be added up.

    Attributes:
        tenant: Whose they are.
        day: Days since the epoch, UTC.
        user_id: The label of the caller, or "".
        client: The public id of the client's key.
        provider: The provider.
        model: The model.
        operation: What was done.
        session_id: The session whose totals they count in too, or "".
    """

    tenant: str
    day: int
    user_id: str
    client: str
    provider: str
    model: str
    operation: Operation
    session_id: str = ""


@dataclass(slots=True)
class CallTotal:
    """Calls of one kind, added up."""

    calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0
    seconds: float = 0.0

    @property
    def usage(self) -> Usage:
        """The tokens."""
        return Usage(
            self.input_tokens,
            self.cached_input_tokens,
            self.cache_write_tokens,
            self.output_tokens,
            self.reasoning_tokens,
        )

    def add(self, usage: Usage | None, cost: float | None, seconds: float) -> None:
        """Count a call."""
        self.calls += 1
        if usage is not None:
            self._add_tokens(countable(usage))
        self.cost += cost or 0.0
        self.unpriced += cost is None
        self.seconds += seconds

    def merge(self, other: CallTotal) -> None:
        """Count the calls of another total."""
        self.calls += other.calls
        self._add_tokens(other)
        self.cost += other.cost
        self.unpriced += other.unpriced
        self.seconds += other.seconds

    def _add_tokens(self, counted: Usage | CallTotal) -> None:
        self.input_tokens += counted.input_tokens
        self.cached_input_tokens += counted.cached_input_tokens
        self.cache_write_tokens += counted.cache_write_tokens
        self.output_tokens += counted.output_tokens
        self.reasoning_tokens += counted.reasoning_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMetrics:
    """Totals of one session, with what was used for it in vain.

    `total_cost` leaves out what has no known price, and is None where no price is known.
    """

    session_id: str
    message_count: int
    providers_used: Sequence[str]
    total_tokens: int
    total_cost: float | None
    average_response_time: float
    last_summary_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTotals:
    """Totals of sessions; `average_duration` is seconds from creation to the last turn."""

    active: int
    total_created: int
    average_duration: float

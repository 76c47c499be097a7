"""The lines of a file: what each may hold.

The first is the header, the last says how many there were, so that a file that was cut off is known as such. Between
them stand the session, each turn with its messages after it, and the summaries.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from orchestrator_core.provider_api import FinishReason, Json, Message, Part
from orchestrator_core.provider_api.report import Action
from orchestrator_core.sessions.bills import MAX_TOKENS
from orchestrator_core.sessions.models import TurnState

FORMAT: Final = "orchestrator-session"
VERSION: Final = 1

MAX_COST: Final = 1_000_000.0
"""USD of one turn."""

MAX_SECONDS: Final = 31_536_000.0
"""A year: more than any turn takes."""

_Word = Annotated[str, Field(max_length=4096)]
_Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Place = Annotated[int, Field(ge=1, le=2**31 - 1)]
_Tokens = Annotated[int, Field(ge=0, le=MAX_TOKENS)]
_Cost = Annotated[float, Field(ge=0, le=MAX_COST, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
_Time = Annotated[
    AwareDatetime,
    Field(
        ge=datetime.fromisoformat("1970-01-01T00:00:00Z"),
        lt=datetime.fromisoformat("9999-01-01T00:00:00Z"),  # in any zone it is a time that Python can hold
        strict=False,
    ),
]


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class HeaderLine(_Line):
    """The first line."""

    type: Literal["header"] = "header"
    format: Literal["orchestrator-session"] = FORMAT
    version: Literal[1] = VERSION
    exported_at: _Time
    gateway: _Word = Field(description="The version of the gateway that wrote it.")


class SessionLine(_Line):
    """The session."""

    type: Literal["session"] = "session"
    id: _Id
    user_id: Annotated[str, Field(max_length=256)] | None = None
    metadata: dict[str, Json]
    status: Literal["active", "expired", "closed"]
    created_at: _Time
    last_turn_at: _Time | None = None
    parent_id: _Id | None = None


class UsageDetailsLine(_Line):
    """What of the tokens has a price of its own, and what is billed beside them."""

    input_audio_tokens: _Tokens = 0
    cached_audio_tokens: _Tokens = 0
    output_audio_tokens: _Tokens = 0
    output_image_tokens: _Tokens = 0
    cache_write_1h_tokens: _Tokens = 0
    web_searches: _Tokens = 0
    unpriced: _Word | None = None
    estimated: bool = False


class UsageLine(_Line):
    """Tokens, in buckets that do not overlap."""

    input_tokens: _Tokens
    cached_input_tokens: _Tokens
    cache_write_tokens: _Tokens
    output_tokens: _Tokens
    reasoning_tokens: _Tokens
    details: UsageDetailsLine | None = None


class AttemptLine(_Line):
    """One try at one provider."""

    provider: _Word
    model: _Word
    duration: _Seconds
    error: _Word | None = None


class AdjustmentLine(_Line):
    """What had to be changed in the request."""

    subject: _Word
    action: Action
    reason: Annotated[str, Field(max_length=100_000)]


class TurnLine(_Line):
    """A turn; its messages follow it."""

    type: Literal["turn"] = "turn"
    id: _Id
    state: TurnState
    messages: Annotated[int, Field(ge=1, le=100_000)] = Field(description="How many the caller said.")
    answered: bool = Field(description="Whether an answer follows them.")
    started_at: _Time
    finished_at: _Time | None
    provider: _Word | None
    model: _Word | None
    finish_reason: FinishReason | None
    usage: UsageLine | None
    cost: _Cost | None
    price_version: _Word | None
    attempts: Annotated[tuple[AttemptLine, ...], Field(max_length=1000, strict=False)]
    adjustments: Annotated[tuple[AdjustmentLine, ...], Field(max_length=1000, strict=False)]
    error_code: _Word | None
    duration: _Seconds
    client: _Word
    summary_id: _Id | None
    first_with_summary: bool
    settings: dict[str, Json] | None = Field(default=None, description="With what it was asked for.")


class MessageLine(_Line):
    """A message, with all that only its provider can read."""

    type: Literal["message"] = "message"
    id: _Id
    sequence: _Place
    role: Literal["system", "user", "assistant", "tool"]
    name: _Word | None = None
    parts: Annotated[tuple[Part, ...], Field(strict=False)]
    created_at: _Time

    def message(self) -> Message:
        """Return the message itself."""
        return Message(role=self.role, parts=self.parts, name=self.name)


class SummaryLine(_Line):
    """A summary of the messages from one place to another."""

    type: Literal["summary"] = "summary"
    id: _Id
    from_sequence: _Place
    upto_sequence: _Place
    text: Annotated[str, Field(min_length=1)]
    provider: _Word | None
    model: _Word | None
    usage: UsageLine | None
    cost: _Cost | None
    tokens_before: _Tokens | None
    tokens_after: _Tokens | None
    created_at: _Time


class EndLine(_Line):
    """The last line."""

    type: Literal["end"] = "end"
    turns: _Count
    messages: _Count
    summaries: _Count


Line = HeaderLine | SessionLine | TurnLine | MessageLine | SummaryLine | EndLine

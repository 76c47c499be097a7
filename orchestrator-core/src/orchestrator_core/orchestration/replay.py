"""A turn that was answered before, given again to the same idempotency key."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence

from orchestrator_core.provider_api import (
    Adjustment,
    ChatEvent,
    ChatResponse,
    Choice,
    FilePart,
    Finish,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningDelta,
    ReasoningPart,
    RefusalDelta,
    RefusalPart,
    Start,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    Usage,
    UsageReport,
    WholePart,
)
from orchestrator_core.sessions.models import Attempt, TurnOutcome


class ReplayedAnswer:
    """Has the interface of an open answer, and asks nobody."""

    def __init__(self, outcome: TurnOutcome) -> None:
        """Wrap a stored outcome."""
        self._outcome = outcome
        self.provider = outcome.provider or ""
        self.model = outcome.model or ""
        self.attempts: Sequence[Attempt] = outcome.attempts
        self.adjustments: Sequence[Adjustment] = outcome.adjustments
        self.usage: Usage | None = outcome.usage
        self.cost = outcome.cost
        self.price_version = outcome.price_version

    @property
    def complete(self) -> bool:
        """Whether the stored answer came to its end."""
        return self._outcome.state == "complete"

    @property
    def folded(self) -> ChatResponse:
        """The stored answer."""
        message = self._outcome.message or Message(role="assistant", parts=())
        choice = Choice(0, message, self._outcome.finish_reason)
        return ChatResponse(choices=[choice], model=self.model, usage=self.usage, complete=self.complete)

    @property
    def native(self) -> None:
        """None: what the upstream said is not stored as it came."""

    async def drain(self) -> None:
        """Do nothing: all of it is there."""

    async def batches(self) -> AsyncGenerator[Iterator[ChatEvent], None]:
        """Yield the stored answer as events, all together."""
        yield self._events()

    async def aclose(self) -> None:
        """Do nothing: there is nothing open."""

    def _events(self) -> Iterator[ChatEvent]:
        yield Start(model=self.model, adjustments=self.adjustments)
        calls = 0
        for part in self.folded.message.parts:
            yield _event(part, calls)
            calls += isinstance(part, ToolCallPart)
        if self.usage is not None:
            yield UsageReport(usage=self.usage)
        yield Finish(reason=self._outcome.finish_reason or "stop")


def _event(part: Part, index: int) -> ChatEvent:
    metadata = part.provider_metadata
    match part:
        case TextPart(text=text):
            return TextDelta(text=text, provider_metadata=metadata)
        case ReasoningPart(text=text):
            return ReasoningDelta(text=text, provider_metadata=metadata)
        case RefusalPart(text=text):
            return RefusalDelta(text=text, provider_metadata=metadata)
        case ToolCallPart(id=call_id, name=name, arguments=arguments):
            return ToolCallDelta(index=index, id=call_id, name=name, arguments=arguments, provider_metadata=metadata)
        case ImagePart() | FilePart() | OpaquePart():
            return WholePart(part=part)
    raise TypeError(f"an answer cannot hold a part of the type {part.type}")

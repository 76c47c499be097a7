"""Folds the events of an answer into the answer."""

from __future__ import annotations

import math

from orchestrator_core.provider_api import (
    ChatEvent,
    ChatResponse,
    Choice,
    Finish,
    FinishReason,
    Json,
    Logprobs,
    Message,
    NativeOnly,
    Part,
    ProviderMetadata,
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
from orchestrator_core.sessions.weights import ASCII_BYTES


class Fold:
    """Takes events one by one; `response` gives the answer so far.

    A broken-off answer folds too: `ChatResponse.complete` says whether every choice has its end.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._start = Start()
        self._usage: Usage | None = None
        self._notes: dict[str, dict[str, Json]] = {}
        self._choices: dict[int, _ChoiceFold] = {}
        self._finished = 0
        self._unread_events = self._unread_bytes = 0

    @property
    def unread(self) -> int:
        """An estimate of the tokens of text that passed without being taken apart: at least one for each event."""
        return max(self._unread_events, math.ceil(self._unread_bytes / ASCII_BYTES))

    @property
    def usage(self) -> Usage | None:
        """The newest report of what was used."""
        return self._usage

    @property
    def complete(self) -> bool:
        """Whether every choice has its end."""
        return 0 < len(self._choices) == self._finished

    def add(self, event: ChatEvent) -> ChatEvent:
        """Take the next event, and return it. Kinds that are not known are passed over."""
        kind = type(event)
        if kind is NativeOnly:
            if event.native is not None:
                self._unread_events += 1 + len(event.native.more)
                self._unread_bytes += event.text_bytes  # type: ignore[attr-defined]  # narrowed by the exact class above
        elif kind is TextDelta or kind is ReasoningDelta or kind is RefusalDelta:
            self._choice(event.choice).add_text(event)  # type: ignore[arg-type]  # as above
        elif isinstance(event, Start):
            self._start = event
            _note(self._notes, event.provider_metadata)
        elif isinstance(event, UsageReport):
            self._usage = event.usage or self._usage
            _note(self._notes, event.provider_metadata)
        elif isinstance(event, ToolCallDelta):
            self._choice(event.choice).add_call(event)
        elif isinstance(event, WholePart):
            self._choice(event.choice).add_part(event)
        elif isinstance(event, Logprobs):
            self._choice(event.choice).add_logprobs(event)
        elif isinstance(event, Finish):
            choice = self._choice(event.choice)
            self._finished += choice.reason is None
            choice.finish(event)
        return event

    def response(self) -> ChatResponse:
        """Return the answer that the events so far make."""
        choices = [fold.choice(index) for index, fold in sorted(self._choices.items())]
        start = self._start
        return ChatResponse(
            choices=choices or [Choice(0, Message(role="assistant", parts=()))],
            model=start.model,
            id=start.id,
            created=start.created,
            usage=self._usage,
            adjustments=start.adjustments,
            native=start.native,
            complete=self.complete,
            provider_metadata=self._notes or None,
        )

    def _choice(self, index: int) -> _ChoiceFold:
        fold = self._choices.get(index)
        if fold is None:
            fold = self._choices[index] = _ChoiceFold()
        return fold


class _Segment:
    """A part that grows."""

    __slots__ = ("block", "call_id", "kind", "metadata", "name", "pieces", "whole")

    def __init__(self, kind: type[ChatEvent], block: int | str | None) -> None:
        self.kind = kind
        self.block = block
        self.pieces: list[str] = []
        self.metadata: dict[str, dict[str, Json]] | None = None
        self.call_id: str | None = None
        self.name: str | None = None
        self.whole: Part | None = None

    def note(self, metadata: ProviderMetadata | None) -> None:
        if metadata:
            self.metadata = self.metadata or {}
            _note(self.metadata, metadata)

    def part(self) -> Part | None:
        text = "".join(self.pieces)
        if self.whole is not None:
            return self.whole
        if self.kind is ToolCallDelta:
            return ToolCallPart(
                id=self.call_id or "", name=self.name or "", arguments=text, provider_metadata=self.metadata
            )
        if not text and not self.metadata:
            return None
        if self.kind is ReasoningDelta:
            return ReasoningPart(text=text, provider_metadata=self.metadata)
        if self.kind is RefusalDelta:
            return RefusalPart(text=text, provider_metadata=self.metadata)
        return TextPart(text=text, provider_metadata=self.metadata)


class _ChoiceFold:
    """One alternative."""

    __slots__ = ("blocks", "calls", "last", "logprobs", "metadata", "native_reason", "reason", "segments")

    def __init__(self) -> None:
        self.segments: list[_Segment] = []
        self.blocks: dict[tuple[type[ChatEvent], int | str], _Segment] = {}
        self.calls: dict[int, _Segment] = {}
        self.last: _Segment | None = None
        self.reason: FinishReason | None = None
        self.native_reason: str | None = None
        self.metadata: dict[str, dict[str, Json]] = {}
        self.logprobs: dict[str, list[Json]] = {}

    def add_text(self, event: TextDelta | ReasoningDelta | RefusalDelta) -> None:
        kind, block = type(event), None if isinstance(event, RefusalDelta) else event.block
        segment = self.last
        if segment is None or segment.kind is not kind or segment.block != block:
            segment = self._open(kind, block)
        if event.text:
            segment.pieces.append(event.text)
        segment.note(event.provider_metadata)

    def add_call(self, event: ToolCallDelta) -> None:
        segment = self.calls.get(event.index)
        if segment is None:
            segment = self.calls[event.index] = self._append(ToolCallDelta, None)
        segment.call_id = segment.call_id or event.id
        segment.name = segment.name or event.name
        segment.pieces.append(event.arguments)
        segment.note(event.provider_metadata)
        self.last = None

    def add_part(self, event: WholePart) -> None:
        if event.part is not None:
            segment = self._append(WholePart, None)
            segment.note(event.part.provider_metadata)
            segment.note(event.provider_metadata)
            segment.whole = event.part.model_copy(update={"provider_metadata": segment.metadata})
            self.last = None

    def add_logprobs(self, event: Logprobs) -> None:
        for name, tokens in (("content", event.content), ("refusal", event.refusal)):
            self.logprobs.setdefault(name, []).extend(tokens)

    def finish(self, event: Finish) -> None:
        self.reason, self.native_reason = event.reason, event.native_reason
        _note(self.metadata, event.provider_metadata)

    def choice(self, index: int) -> Choice:
        parts = tuple(part for segment in self.segments if (part := segment.part()) is not None)
        message = Message(role="assistant", parts=parts)
        logprobs = {name: tokens or None for name, tokens in self.logprobs.items()} or None
        return Choice(index, message, self.reason, self.native_reason, logprobs, self.metadata or None)

    def _open(self, kind: type[ChatEvent], block: int | str | None) -> _Segment:
        """Return the segment of a block that came before, or a new one."""
        segment = None if block is None else self.blocks.get((kind, block))
        if segment is None:
            segment = self._append(kind, block)
            if block is not None:
                self.blocks[kind, block] = segment
        self.last = segment
        return segment

    def _append(self, kind: type[ChatEvent], block: int | str | None) -> _Segment:
        segment = _Segment(kind, block)
        self.segments.append(segment)
        return segment


def _note(notes: dict[str, dict[str, Json]], metadata: ProviderMetadata | None) -> None:
    """Add what a provider said to what it said before."""
    for provider, values in (metadata or {}).items():
        notes.setdefault(provider, {}).update(values)

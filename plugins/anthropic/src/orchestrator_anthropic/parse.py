"""Anthropic's answers, whole and streamed, as events (https://platform.claude.com/docs/en/build-with-claude/streaming).

This is the hot path of every streamed token: plain dictionaries, and no validation beyond what would otherwise corrupt
an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pydantic_core

from orchestrator_anthropic.errors import error_in_answer
from orchestrator_anthropic.messages import Block
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    Adjustment,
    ChatEvent,
    Finish,
    FinishReason,
    Json,
    NativeEvent,
    NativeOnly,
    OpaquePart,
    ProviderBadResponse,
    ProviderMetadata,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    WholePart,
)

_REASONS: Mapping[str, FinishReason] = {
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "refusal": "content_filter",
}
_WRONG_SHAPE = "The provider's answer does not have the shape of its protocol."


class MessageParser:
    """Turns one answer into events; one that was paused and sent again counts as one.

    Args:
        provider_id: The provider instance, under whose name metadata is kept.
        native: Whether events carry the upstream's bytes.
        adjustments: What of the request was changed, for `Start`.
        names: Names of tools that were changed in the request: Anthropic's to the caller's.
        resumes: Whether a pause is to be followed by another round, which `paused` then tells.
    """

    def __init__(
        self,
        provider_id: str,
        *,
        native: bool = False,
        adjustments: Sequence[Adjustment] = (),
        names: Mapping[str, str] | None = None,
        resumes: bool = False,
    ) -> None:
        self._provider_id = provider_id
        self._native = native
        self._adjustments = adjustments
        self._names = names or {}
        self.resumes = resumes
        self.content: list[Block] = []
        self.paused = False
        self.complete = False
        self._started = False
        self._base = 0
        self._calls = 0
        self._open: dict[int, _OpenBlock] = {}
        self._usage: dict[str, Json] = {}
        self._before = Usage()
        self._stop: Mapping[str, Json] = {}

    def again(self) -> None:
        """Begin another round of the same answer."""
        self._before, self._usage = self._total(), {}
        self._base, self._open = len(self.content), {}
        self.paused = self.complete = False

    def event(self, data: bytes, name: str | None = None) -> list[ChatEvent]:
        """Return the events of one server-sent event.

        Raises:
            ProviderError: It is an error, mapped to the tree, or has the wrong shape.
        """
        wire = _object(data)
        events: list[ChatEvent] = []
        try:
            self._read(wire, events)
        # Asking for each field's type first would cost more than reading the whole event.
        except (AttributeError, TypeError, KeyError) as error:
            raise ProviderBadResponse(_WRONG_SHAPE) from error
        if self._native and self._started:
            native = NativeEvent(ANTHROPIC_MESSAGES, data, name)
            if events:
                events[0].native = native
            else:
                events.append(NativeOnly(native=native))
        return events

    def body(self, data: bytes) -> list[ChatEvent]:
        """Return the events of a whole answer.

        Raises:
            ProviderError: It is an error object, mapped to the tree, or has the wrong shape.
        """
        wire = _object(data)
        if wire.get("type") == "error" or wire.get("error"):
            raise error_in_answer(wire)
        events: list[ChatEvent] = []
        try:
            self._start(wire, events)
            for index, block in enumerate(wire["content"]):
                self._begin(index, block, events)
                self._end(index, events)
            self._stop = wire
            self._finish(events)
        except (AttributeError, TypeError, KeyError) as error:  # as above
            raise ProviderBadResponse(_WRONG_SHAPE) from error
        if self._native:
            events[0].native = NativeEvent(ANTHROPIC_MESSAGES, data)
        return events

    def _read(self, wire: Mapping[str, Json], events: list[ChatEvent]) -> None:
        kind = wire["type"]
        if kind == "content_block_delta":
            self._delta(self._open[wire["index"]], wire["delta"], events)
        elif kind == "content_block_start":
            self._begin(wire["index"], wire["content_block"], events)
        elif kind == "content_block_stop":
            self._end(wire["index"], events)
        elif kind == "message_start":
            self._start(wire["message"], events)
        elif kind == "message_delta":
            self._stop = {**self._stop, **wire["delta"]}
            self._used(wire.get("usage"), events)
        elif kind == "message_stop":
            self._finish(events)
        elif kind == "error":
            raise error_in_answer(wire)

    def _start(self, message: Mapping[str, Json], events: list[ChatEvent]) -> None:
        if not self._started:
            self._started = True
            id_, model = message.get("id"), message.get("model")
            events.append(
                Start(
                    id=id_ if type(id_) is str else None,
                    model=model if type(model) is str else None,
                    adjustments=self._adjustments,
                )
            )
        self._stop = {}
        self._used(message.get("usage"), events)

    def _begin(self, index: int, wire: Mapping[str, Json], events: list[ChatEvent]) -> None:
        block = self._open[index] = _OpenBlock(self._base + index, dict(wire))
        kind = wire["type"]
        if kind == "text":
            noted = {"citations": list(wire["citations"])} if wire.get("citations") else None
            if wire.get("text") or noted:
                events.append(TextDelta(0, self._mine(noted), text=_string(wire.get("text") or ""), block=block.index))
        elif kind == "thinking":
            noted = {"signature": wire["signature"]} if wire.get("signature") else None
            if wire.get("thinking") or noted:
                text = _string(wire.get("thinking") or "")
                events.append(ReasoningDelta(0, self._mine(noted), text=text, block=block.index))
        elif kind == "redacted_thinking":
            events.append(ReasoningDelta(0, self._mine({"redacted": wire["data"]}), block=block.index))
        elif kind == "tool_use":
            block.call = self._calls
            self._calls += 1
            noted = {name: wire[name] for name in wire.keys() - {"type", "id", "name", "input"}}
            name = self._names.get(wire["name"], wire["name"])
            events.append(ToolCallDelta(0, self._mine(noted), index=block.call, id=_string(wire["id"]), name=name))

    def _delta(self, block: _OpenBlock, delta: Mapping[str, Json], events: list[ChatEvent]) -> None:
        kind, wire = delta["type"], block.wire
        if kind == "text_delta":
            block.add("text", delta["text"])
            events.append(TextDelta(0, text=_string(delta["text"]), block=block.index))
        elif kind == "input_json_delta":
            block.add("input", delta["partial_json"])
            if block.call is not None and delta["partial_json"]:
                events.append(ToolCallDelta(0, index=block.call, arguments=_string(delta["partial_json"])))
        elif kind == "thinking_delta":
            block.add("thinking", delta["thinking"])
            events.append(ReasoningDelta(0, text=_string(delta["thinking"]), block=block.index))
        elif kind == "signature_delta":
            wire["signature"] = delta["signature"]
            events.append(ReasoningDelta(0, self._mine({"signature": delta["signature"]}), block=block.index))
        elif kind == "citations_delta":
            wire["citations"] = [*(wire.get("citations") or ()), delta["citation"]]
            events.append(TextDelta(0, self._mine({"citations": wire["citations"]}), block=block.index))
        else:  # of a kind of block that is kept whole
            for name in delta.keys() - {"type"}:
                block.add(name, _string(delta[name]))

    def _end(self, index: int, events: list[ChatEvent]) -> None:
        block = self._open.pop(index, None)
        if block is None:
            return  # said twice
        wire = block.whole()
        if self.resumes:
            self.content.append(wire)
        if block.call is not None:
            if "input" not in block.pieces:
                given = pydantic_core.to_json(wire.get("input") or {}).decode()
                events.append(ToolCallDelta(0, index=block.call, arguments=given))
        elif wire["type"] not in ("text", "thinking", "redacted_thinking"):
            # Anthropic's own tools and their results: the client is to execute nothing of it, and nobody else reads it.
            events.append(WholePart(part=OpaquePart(provider_metadata={self._provider_id: {"block": wire}})))

    def _used(self, wire: Mapping[str, Json] | None, events: list[ChatEvent]) -> None:
        """Report the totals so far: later counts replace earlier ones, and leave out what did not change."""
        if wire:
            self._usage |= {name: value for name, value in wire.items() if value is not None}
            events.append(UsageReport(usage=self._total()))

    def _total(self) -> Usage:
        wire = self._usage
        details = wire.get("output_tokens_details") or {}
        output = _count(wire, "output_tokens")
        thought = min(_count(details, "thinking_tokens"), output)
        return self._before + Usage(
            input_tokens=_count(wire, "input_tokens"),
            cached_input_tokens=_count(wire, "cache_read_input_tokens"),
            cache_write_tokens=_count(wire, "cache_creation_input_tokens"),
            output_tokens=output - thought,
            reasoning_tokens=thought,
        )

    def _finish(self, events: list[ChatEvent]) -> None:
        self.complete = True
        reason = self._stop.get("stop_reason")
        self.paused = reason == "pause_turn" and self.resumes
        if self.paused:
            return
        details = self._stop.get("stop_details")
        if reason == "refusal" and isinstance(details, Mapping) and details.get("explanation"):
            events.append(RefusalDelta(text=_string(details["explanation"])))
        events.append(Finish(reason=_REASONS.get(reason or "", "stop"), native_reason=reason))

    def _mine(self, noted: Mapping[str, Json] | None) -> ProviderMetadata | None:
        return {self._provider_id: noted} if noted else None


class _OpenBlock:
    """A content block that has begun."""

    __slots__ = ("call", "index", "pieces", "wire")

    def __init__(self, index: int, wire: Block) -> None:
        self.index = index
        self.wire = wire
        self.call: int | None = None
        self.pieces: dict[str, list[str]] = {}

    def add(self, name: str, piece: str) -> None:
        if piece:
            self.pieces.setdefault(name, []).append(piece)

    def whole(self) -> Block:
        """Return the block with all its pieces, in the form in which it can be sent back."""
        for name, pieces in self.pieces.items():
            written = "".join(pieces)
            if name != "input":
                self.wire[name] = (self.wire.get(name) or "") + written
                continue
            try:
                self.wire[name] = pydantic_core.from_json(written)
            except ValueError:
                self.wire[name] = {"INVALID_JSON": written}
        return self.wire


def _object(data: bytes) -> dict[str, Json]:
    try:
        wire = pydantic_core.from_json(data)
    except ValueError:
        raise ProviderBadResponse("The provider's answer is no JSON, or was cut off.") from None
    if type(wire) is not dict:
        raise ProviderBadResponse("The provider's answer is JSON, but no object.")
    return wire


def _string(value: Json) -> str:
    if type(value) is not str:
        raise TypeError("not a text")
    return value


def _count(wire: Mapping[str, Json], name: str) -> int:
    value = wire.get(name)
    return value if type(value) is int and value > 0 else 0

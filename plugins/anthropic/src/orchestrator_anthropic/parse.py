"""Anthropic's answers, whole and streamed, as events (https://platform.claude.com/docs/en/build-with-claude/streaming).

This is the hot path of every streamed token: plain dictionaries, and no validation beyond what would otherwise corrupt
an answer. New kinds of events, blocks, deltas and fields may come at any time (`/docs/en/api/versioning`): what is not
known, and a delta or a text whose field is of another type, is kept whole with what it belongs to and ends no answer.
An answer ends with an error where its content cannot be told: an event is no JSON object or has no type, a delta is of
no block that began, a call has no name, a hidden thought has no data, or a block of a whole answer has no type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pydantic_core

from orchestrator_anthropic.blocks import OpenBlock
from orchestrator_anthropic.errors import error_in_answer
from orchestrator_anthropic.messages import Block
from orchestrator_anthropic.totals import Totals
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
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
    UsageReport,
    WholePart,
)

# https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons; `compaction` is of the page of that name.
_REASONS: Mapping[str, FinishReason] = {
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "compaction": "length",
    "refusal": "content_filter",
}
_MESSAGE = frozenset(("type", "id", "role", "model", "content", "usage", "stop_reason", "delta"))
"""Fields of a message, and of the events that tell of it, that have a canonical form."""

_NAMED = {
    "text": frozenset(("type", "text")),
    "thinking": frozenset(("type", "thinking")),
    "redacted_thinking": frozenset(("type", "data")),
    "tool_use": frozenset(("type", "id", "name", "input")),
}
"""Kinds of blocks that have a canonical form, and their fields that do."""

_PIECES = frozenset(("text_delta", "thinking_delta", "input_json_delta"))
"""Kinds of deltas that bring a piece of a text."""

_NOTHING: tuple[Json, ...] = (None, "", [])
"""What a block begins with in fields that are yet to come."""

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
        self._open: dict[int, OpenBlock] = {}
        self._totals = Totals()
        self._stop: Mapping[str, Json] = {}

    def again(self) -> None:
        """Begin another round of the same answer."""
        self._totals.again()
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
            for index, block in enumerate(wire["content"] or ()):
                if _opened(block) is not block:  # nobody has seen anything of it yet: it can be asked for again
                    raise TypeError("not a block")
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
            self._delta(self._open[wire["index"]], wire.get("delta"), events)
        elif kind == "content_block_start":
            self._begin(wire["index"], wire.get("content_block"), events)
        elif kind == "content_block_stop":
            self._end(wire["index"], events)
        elif kind == "message_start":
            self._start(wire["message"], events)
        elif kind == "message_delta":
            delta = wire.get("delta") or {}
            self._stop = {**self._stop, **delta}
            self._used(wire.get("usage"), {**wire, **delta}, events)
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
        self._used(message.get("usage"), message, events)

    def _begin(self, index: int, given: Json, events: list[ChatEvent]) -> None:
        wire = _opened(given)
        block = self._open[index] = OpenBlock(self._base + index, wire)
        if wire is not given:
            self._keep(block, given, events)
        kind = wire["type"]
        named = _NAMED.get(kind)
        if named is None:
            return  # it is told whole as it ends
        more = {name: value for name, value in wire.items() if name not in named and value not in _NOTHING}
        noted = self._mine(more)
        if kind == "text":
            if (text := _string(wire.get("text"))) or noted:
                events.append(TextDelta(0, noted, text=text, block=block.index))
        elif kind == "thinking":
            if (text := _string(wire.get("thinking"))) or noted:
                events.append(ReasoningDelta(0, noted, text=text, block=block.index))
        elif kind == "redacted_thinking":
            events.append(ReasoningDelta(0, self._mine({**more, "redacted": wire["data"]}), block=block.index))
        else:
            block.call = self._calls
            self._calls += 1
            name = self._names.get(wire["name"], wire["name"])
            events.append(ToolCallDelta(0, noted, index=block.call, id=_string(wire["id"]), name=name))

    def _delta(self, block: OpenBlock, delta: Json, events: list[ChatEvent]) -> None:
        wire, fields = block.wire, delta if isinstance(delta, Mapping) else {}
        kind = fields.get("type")
        if kind == "text_delta" and (text := _piece(fields, "text")) is not None:
            block.add("text", text)
            events.append(TextDelta(0, text=text, block=block.index))
        elif kind == "input_json_delta" and (text := _piece(fields, "partial_json")) is not None:
            block.add("input", text)
            if block.call is not None and text:
                events.append(ToolCallDelta(0, index=block.call, arguments=text))
        elif kind == "thinking_delta" and (text := _piece(fields, "thinking")) is not None:
            block.add("thinking", text)
            events.append(ReasoningDelta(0, text=text, block=block.index))
        elif kind == "signature_delta" and wire["type"] == "thinking" and "signature" in fields:
            if fields["signature"]:
                wire["signature"] = fields["signature"]
                events.append(ReasoningDelta(0, self._mine({"signature": fields["signature"]}), block=block.index))
        elif kind == "citations_delta" and wire["type"] == "text" and "citation" in fields:
            if fields["citation"]:
                wire["citations"] = [*(wire.get("citations") or ()), fields["citation"]]
                events.append(TextDelta(0, self._mine({"citations": wire["citations"]}), block=block.index))
        elif wire["type"] in _NAMED or kind in _PIECES or fields is not delta:
            self._keep(block, delta, events)
        else:
            block.merge(fields)

    def _keep(self, block: OpenBlock, odd: Json, events: list[ChatEvent]) -> None:
        """Keep beside a block what belongs to it and cannot be told where in it; it is not sent back."""
        block.unknown.append(odd)
        if block.wire["type"] in _NAMED:
            self._note(block, self._mine({"deltas": list(block.unknown)}), events)

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
        elif wire["type"] not in _NAMED:
            # Anthropic's own tools and their results: the client is to execute nothing of it, and nobody else reads it.
            noted = {"block": wire, **({"deltas": block.unknown} if block.unknown else {})}
            events.append(WholePart(part=OpaquePart(provider_metadata={self._provider_id: noted})))
        elif found := block.annotations():
            self._note(block, {OPENAI_CHAT: {"annotations": found}}, events)

    def _note(self, block: OpenBlock, noted: ProviderMetadata | None, events: list[ChatEvent]) -> None:
        """Add notes to what a block became."""
        if block.call is not None:
            events.append(ToolCallDelta(0, noted, index=block.call))
        elif block.wire["type"] == "text":
            events.append(TextDelta(0, noted, block=block.index))
        else:
            events.append(ReasoningDelta(0, noted, block=block.index))

    def _used(self, wire: Json, message: Mapping[str, Json], events: list[ChatEvent]) -> None:
        """Report the totals so far, and what a message says of itself: later values replace earlier ones."""
        about: dict[str, Mapping[str, Json]] = {}
        counted = self._totals.add(wire)
        if counted and (rest := self._totals.rest()):
            about[self._provider_id] = {"usage": rest}
        said = {name: value for name, value in message.items() if value is not None and name not in _MESSAGE}
        if said:
            about[ANTHROPIC_MESSAGES] = said
        if counted or about:
            events.append(UsageReport(0, about or None, usage=self._totals.usage() if counted else None))

    def _finish(self, events: list[ChatEvent]) -> None:
        self.complete = True
        given = self._stop.get("stop_reason")
        reason = given if type(given) is str else None
        self.paused = reason == "pause_turn" and self.resumes
        if self.paused:
            return
        details = self._stop.get("stop_details")
        explanation = details.get("explanation") if isinstance(details, Mapping) else None
        if reason == "refusal" and explanation and type(explanation) is str:
            events.append(RefusalDelta(text=explanation))
        events.append(Finish(reason=_REASONS.get(reason or "", "stop"), native_reason=reason))

    def _mine(self, noted: Mapping[str, Json]) -> ProviderMetadata | None:
        return {self._provider_id: noted} if noted else None


def _object(data: bytes) -> dict[str, Json]:
    try:
        wire = pydantic_core.from_json(data)
    except ValueError:
        raise ProviderBadResponse("The provider's answer is no JSON, or was cut off.") from None
    if type(wire) is not dict:
        raise ProviderBadResponse("The provider's answer is JSON, but no object.")
    return wire


def _string(value: Json) -> str:
    if value is None:
        return ""
    if type(value) is not str:
        raise TypeError("not a text")
    return value


def _piece(fields: Mapping[str, Json], name: str) -> str | None:
    """Return the piece of text that a delta brings, empty for null; None where it brings none."""
    value = fields.get(name, 0)
    return value if type(value) is str else "" if value is None else None


def _opened(given: Json) -> Mapping[str, Json]:
    """Return a block as it began: one that does not say what it is as text, and with a text where one belongs."""
    if not isinstance(given, Mapping) or type(given.get("type")) is not str:
        return {"type": "text", "text": ""}
    kind = given["type"]
    if kind in ("text", "thinking") and not isinstance(given.get(kind), str | None):
        return {**given, kind: ""}
    return given

"""The events of an answer to those of Anthropic's streams (API reference, Messages, streaming)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Literal

import jiter

from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    ChatEvent,
    Finish,
    Json,
    Logprobs,
    NativeEvent,
    OpaquePart,
    ProviderMetadata,
    ReasoningDelta,
    RefusalDelta,
    ServerSentEvent,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    WholePart,
)
from orchestrator_core.server.translate.anthropic_marks import opaque_block, signature
from orchestrator_core.server.translate.anthropic_response import (
    about,
    ending,
    media_block,
    message_head,
    text_block,
    tool_use_block,
    usage,
)
from orchestrator_core.server.translate.native import native_json
from orchestrator_core.server.translate.openai_notes import merged
from orchestrator_core.server.translate.openai_response import encode


@dataclass(slots=True)
class _Block:
    """A block that is being written.

    Attributes:
        kind: What it holds.
        source: The provider's name for it.
        index: Its place in the answer; None before it is begun.
        notes: What its provider noted.
        arguments: Of a call: what has been written.
    """

    kind: Literal["text", "thinking", "refusal", "tool_use"]
    source: int | str | None
    index: int | None = None
    notes: dict[str, dict[str, Json]] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)

    def note(self, metadata: ProviderMetadata | None) -> None:
        for provider, values in (metadata or {}).items():
            self.notes.setdefault(provider, {}).update(values)

    @property
    def whole(self) -> bool:
        """Whether nothing can follow: the arguments of a call are a complete object."""
        try:
            return isinstance(jiter.from_json("".join(self.arguments).encode("utf-8", "replace")), dict)
        except ValueError:
            return False


class MessageWriter:
    """Turns events into those of a stream of the Messages API.

    An upstream event of the same dialect goes through as it came; the events that were read from it are passed over.
    Of several alternatives the first is written: the dialect knows no others.
    """

    def __init__(self, *, model: str, request_id: str) -> None:
        """Start a stream.

        Args:
            model: The model that was asked, for providers that do not say which one answers.
            request_id: The gateway's id of the request, for providers that give no id.
        """
        self._model = model
        self._request_id = request_id
        self._start = Start()
        self._native = False
        self._begun = False
        self._count = 0
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._notes: dict[str, dict[str, Json]] = {}
        self._logprobs: dict[str, list[Json]] = {}
        self._refusal: list[str] = []
        self._current: _Block | None = None
        self._calls: dict[int, _Block] = {}
        self._open_calls: dict[int, _Block] = {}
        self._grown: set[int] = set()  # those of which more came since it was last asked whether they are whole

    def add(self, event: ChatEvent) -> Iterator[ServerSentEvent]:
        """Yield the events that an event makes."""
        native = event.native
        if native is not None and native.dialect == ANTHROPIC_MESSAGES:
            self._native = True
            yield ServerSentEvent(native.data, native.event or _name(native))
        elif not self._native and event.choice == 0:
            yield from self._translate(event)

    def end(self) -> Iterator[ServerSentEvent]:
        """Yield what ends a stream that is complete."""
        if self._native:
            return
        yield from self._begin()
        yield from self._close()
        finish = self._finish or Finish()
        said = about(self._notes, self._logprobs)
        refusal = "".join(self._refusal)
        delta = {**said, **ending(finish.reason, finish.native_reason, refusal, said.get("stop_sequence"))}
        yield _event({"type": "message_delta", "delta": delta, "usage": usage(self._usage)})
        yield _event({"type": "message_stop"})

    def _translate(self, event: ChatEvent) -> Iterator[ServerSentEvent]:
        if isinstance(event, Start | UsageReport | Finish):
            self._notes = merged(self._notes, event.provider_metadata)
        match event:
            case Start():
                self._start = event
            case Logprobs():
                self._logprobs.setdefault("content", []).extend(event.content)
                self._logprobs.setdefault("refusal", []).extend(event.refusal)
            case UsageReport():
                self._usage = event.usage or self._usage
            case Finish():
                self._finish = event
            case TextDelta():
                yield from self._text("text", event.text, event.block, event.provider_metadata)
            case RefusalDelta():
                self._refusal.append(event.text)
                yield from self._text("refusal", event.text, None, event.provider_metadata)
            case ReasoningDelta():
                yield from self._reasoning(event)
            case ToolCallDelta():
                yield from self._call(event)
            case WholePart() if event.part is not None:
                yield from self._part(event)

    def _text(
        self, kind: Literal["text", "refusal"], text: str, source: int | str | None, metadata: ProviderMetadata | None
    ) -> Iterator[ServerSentEvent]:
        if not text and not metadata:
            return
        block = yield from self._enter(kind, source)
        block.note(metadata)
        if text:
            if block.index is None:
                yield self._open(block, text_block(""))
            yield _delta(block, {"type": "text_delta", "text": text})

    def _reasoning(self, event: ReasoningDelta) -> Iterator[ServerSentEvent]:
        if not event.text and not event.provider_metadata:
            return
        block = yield from self._enter("thinking", event.block)
        block.note(event.provider_metadata)
        if event.text:
            if block.index is None:
                yield self._open(block, {"type": "thinking", "thinking": "", "signature": ""})
            yield _delta(block, {"type": "thinking_delta", "thinking": event.text})

    def _call(self, event: ToolCallDelta) -> Iterator[ServerSentEvent]:
        block = self._calls.get(event.index)
        if block is None:
            yield from self._begin()
            yield from self._leave()
            # Calls may come side by side: the one before stays open while something of it may follow.
            for index in sorted(self._grown, key=lambda each: self._calls[each].index or 0):
                if index in self._open_calls and self._open_calls[index].whole:
                    yield _stop(self._open_calls.pop(index))
            self._grown.clear()
            block = self._calls[event.index] = self._open_calls[event.index] = _Block("tool_use", event.index)
            yield self._open(block, tool_use_block(event.id or "", event.name or "", {}, event.provider_metadata))
        elif event.provider_metadata:
            yield _delta(
                block, {"type": "input_json_delta", "partial_json": "", "extra_content": event.provider_metadata}
            )
        if event.arguments:
            block.arguments.append(event.arguments)
            self._grown.add(event.index)
            yield _delta(block, {"type": "input_json_delta", "partial_json": event.arguments})

    def _part(self, event: WholePart) -> Iterator[ServerSentEvent]:
        part = event.part
        notes = {**((part and part.provider_metadata) or {}), **(event.provider_metadata or {})}
        if isinstance(part, OpaquePart):
            if notes:
                yield from self._complete(opaque_block("opaque", notes))
        elif part is not None:
            yield from self._complete(media_block(part.model_copy(update={"provider_metadata": notes})))

    def _begin(self) -> Iterator[ServerSentEvent]:
        if self._begun:
            return
        self._begun = True
        head = message_head(self._start.id, self._start.model or self._model, self._request_id)
        empty: dict[str, Json] = {
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage(self._usage),
        }
        yield _event({"type": "message_start", "message": {**head, **empty}})
        yield _event({"type": "ping"})

    def _enter(
        self, kind: Literal["text", "thinking", "refusal"], source: int | str | None
    ) -> Generator[ServerSentEvent, None, _Block]:
        """Make a block the current one, and return it: a new one, unless it is that already."""
        yield from self._begin()
        block = self._current
        if block is None or block.kind != kind or block.source != source:
            yield from self._close()
            block = self._current = _Block(kind, source)
        return block

    def _leave(self) -> Iterator[ServerSentEvent]:
        """End the current block, with what its provider noted of it."""
        block, self._current = self._current, None
        if block is None:
            return
        if block.kind == "thinking":
            if block.index is None:
                yield from self._complete(opaque_block("reasoning", block.notes))
                return
            if signed := signature(block.notes):
                yield _delta(block, {"type": "signature_delta", "signature": signed})
        if block.index is not None:
            yield _stop(block)
        if block.kind != "thinking" and block.notes:
            # The notes on a text came after its beginning: a block of its own carries them.
            yield from self._complete(text_block("", block.notes))

    def _close(self) -> Iterator[ServerSentEvent]:
        """End everything that is open."""
        yield from self._leave()
        for call in self._open_calls.values():
            yield _stop(call)
        self._open_calls.clear()

    def _open(self, block: _Block, content: dict[str, Json]) -> ServerSentEvent:
        block.index = self._count
        self._count += 1
        return _event({"type": "content_block_start", "index": block.index, "content_block": content})

    def _complete(self, content: dict[str, Json]) -> Iterator[ServerSentEvent]:
        """Write a block that comes in one piece."""
        yield from self._begin()
        yield from self._close()
        block = _Block("text", None)
        yield self._open(block, content)
        yield _stop(block)


def _delta(block: _Block, delta: dict[str, Json]) -> ServerSentEvent:
    return _event({"type": "content_block_delta", "index": block.index, "delta": delta})


def _stop(block: _Block) -> ServerSentEvent:
    return _event({"type": "content_block_stop", "index": block.index})


def _event(data: dict[str, Json]) -> ServerSentEvent:
    return ServerSentEvent(encode(data), data["type"])


def _name(native: NativeEvent) -> str | None:
    """Return the name of an event, which its data repeat."""
    data = native_json(native)
    name = data.get("type") if isinstance(data, dict) else None
    # A line break in it would make events of its own.
    return name if isinstance(name, str) and "\n" not in name and "\r" not in name else None

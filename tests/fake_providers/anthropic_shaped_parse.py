"""Answers of an Anthropic-shaped wire as events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fake_providers.shaped_wire import Wire
from orchestrator_core.provider_api import (
    Adjustment,
    ChatEvent,
    Finish,
    FinishReason,
    OpaquePart,
    ProviderBadResponse,
    ProviderFailed,
    ProviderMetadata,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    WholePart,
)

REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class MessageParser:
    """Reads one answer: a whole message, or the events of a stream one by one."""

    def __init__(self, provider_id: str, adjustments: Sequence[Adjustment]) -> None:
        self._provider_id = provider_id
        self._adjustments = adjustments
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._usage: Wire = {}
        self._stop_reason: str | None = None

    def read(self, event: Wire) -> Iterator[ChatEvent]:
        """Yield what a wire event says.

        Raises:
            ProviderFailed: It is an error event.
            ProviderBadResponse: It is out of order.
        """
        kind = event.get("type")
        if kind == "message":
            yield from self._whole(event)
        elif kind == "error":
            raise ProviderFailed(event["error"]["message"], upstream_type=event["error"]["type"])
        elif kind == "message_start":
            yield from self._start(event["message"])
        elif kind == "content_block_start":
            yield from self._open(event["index"], event["content_block"])
        elif kind == "content_block_delta":
            yield from self._delta(self._block(event["index"]), event["delta"])
        elif kind == "content_block_stop":
            yield from self._close(self._block(event["index"]))
        elif kind == "message_delta":
            self._stop_reason = event["delta"].get("stop_reason") or self._stop_reason
            yield from self._used(event.get("usage"))
        elif kind == "message_stop":
            yield from self._finish()

    def _whole(self, message: Wire) -> Iterator[ChatEvent]:
        yield from self._start(message)
        for index, block in enumerate(message["content"]):
            yield from self._open(index, block)
            yield from self._close(self._block(index))
        self._stop_reason = message.get("stop_reason")
        yield from self._finish()

    def _start(self, message: Wire) -> Iterator[ChatEvent]:
        yield Start(id=message.get("id"), model=message.get("model"), adjustments=self._adjustments)
        yield from self._used(message.get("usage"))

    def _open(self, index: int, wire: Wire) -> Iterator[ChatEvent]:
        block = self._blocks[index] = _Block(index, wire)
        match wire["type"]:
            case "text":
                block.noted = {"citations": list(wire["citations"])} if wire.get("citations") else {}
                yield TextDelta(text=wire["text"], block=index, provider_metadata=self._mine(block.noted))
            case "thinking":
                noted = {"signature": wire["signature"]} if wire.get("signature") else {}
                yield ReasoningDelta(text=wire["thinking"], block=index, provider_metadata=self._mine(noted))
            case "redacted_thinking":
                yield ReasoningDelta(block=index, provider_metadata=self._mine({"redacted": wire["data"]}))
            case "tool_use":
                block.call = self._calls
                self._calls += 1
                noted = {name: wire[name] for name in wire.keys() - {"type", "id", "name", "input"}}
                yield ToolCallDelta(
                    index=block.call, id=wire["id"], name=wire["name"], provider_metadata=self._mine(noted)
                )

    def _delta(self, block: _Block, delta: Wire) -> Iterator[ChatEvent]:
        match delta["type"]:
            case "text_delta":
                yield TextDelta(text=delta["text"], block=block.index)
            case "thinking_delta":
                yield ReasoningDelta(text=delta["thinking"], block=block.index)
            case "signature_delta":
                signature = self._mine({"signature": delta["signature"]})
                yield ReasoningDelta(block=block.index, provider_metadata=signature)
            case "citations_delta":
                block.noted.setdefault("citations", []).append(delta["citation"])
                metadata = self._mine({"citations": list(block.noted["citations"])})
                yield TextDelta(block=block.index, provider_metadata=metadata)
            case "input_json_delta":
                block.input.append(delta["partial_json"])
                if block.call is not None and delta["partial_json"]:
                    yield ToolCallDelta(index=block.call, arguments=delta["partial_json"])

    def _close(self, block: _Block) -> Iterator[ChatEvent]:
        written = "".join(block.input)
        if block.call is not None:
            if not written:
                yield ToolCallDelta(index=block.call, arguments=json.dumps(block.wire.get("input") or {}))
        elif block.wire["type"] not in ("text", "thinking", "redacted_thinking"):
            # Calls and results of the vendor's own tools: nobody else can read them.
            whole = {**block.wire, "input": json.loads(written)} if written else block.wire
            yield WholePart(part=OpaquePart(provider_metadata={self._provider_id: {"block": whole}}))

    def _used(self, usage: Mapping[str, Any] | None) -> Iterator[ChatEvent]:
        """Report the totals so far: later reports are cumulative, and leave out what did not change."""
        if not usage:
            return
        self._usage.update({name: value for name, value in usage.items() if value is not None})
        count = self._usage.get
        thinking = (count("output_tokens_details") or {}).get("thinking_tokens", 0)
        yield UsageReport(
            usage=Usage(
                input_tokens=count("input_tokens", 0),
                cached_input_tokens=count("cache_read_input_tokens", 0),
                cache_write_tokens=count("cache_creation_input_tokens", 0),
                output_tokens=count("output_tokens", 0) - thinking,
                reasoning_tokens=thinking,
            )
        )

    def _finish(self) -> Iterator[ChatEvent]:
        if self._stop_reason is not None:
            yield Finish(reason=REASONS.get(self._stop_reason, "stop"), native_reason=self._stop_reason)

    def _block(self, index: int) -> _Block:
        if index not in self._blocks:
            raise ProviderBadResponse("The provider's stream continues a block that it did not begin.")
        return self._blocks[index]

    def _mine(self, noted: Wire) -> ProviderMetadata | None:
        return {self._provider_id: noted} if noted else None


class _Block:
    """A content block that is open."""

    def __init__(self, index: int, wire: Wire) -> None:
        self.index = index
        self.wire = wire
        self.call: int | None = None
        self.input: list[str] = []
        self.noted: Wire = {}

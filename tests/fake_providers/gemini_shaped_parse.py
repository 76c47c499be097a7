"""Answers of a Gemini-shaped wire as events."""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fake_providers.shaped_wire import Wire
from orchestrator_core.provider_api import (
    Adjustment,
    ChatEvent,
    FilePart,
    Finish,
    FinishReason,
    ImagePart,
    OpaquePart,
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

REASONS: Mapping[str, FinishReason] = {"STOP": "stop", "MAX_TOKENS": "length", "MALFORMED_FUNCTION_CALL": "stop"}
"""All others are filters."""

NUMBERS = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY"}
"""Some endpoints give enumerations as integers."""


class ContentParser:
    """Reads one answer: a whole body, or the chunks of a stream one by one."""

    def __init__(self, provider_id: str, adjustments: Sequence[Adjustment]) -> None:
        self._provider_id = provider_id
        self._adjustments = adjustments
        self._started = False
        self._candidates: defaultdict[int, _Candidate] = defaultdict(_Candidate)

    def read(self, chunk: Wire) -> Iterator[ChatEvent]:
        """Yield what a chunk says.

        Raises:
            ProviderFailed: It is an error.
        """
        if "error" in chunk:
            raise ProviderFailed(chunk["error"]["message"], upstream_type=chunk["error"].get("status"))
        if not self._started:
            self._started = True
            yield Start(id=chunk.get("responseId"), model=chunk.get("modelVersion"), adjustments=self._adjustments)
        candidates = chunk.get("candidates") or []
        for wire in candidates:
            for part in (wire.get("content") or {}).get("parts") or []:
                yield from self._part(wire.get("index", 0), part)
        if usage := chunk.get("usageMetadata"):
            yield UsageReport(usage=_usage(usage))
        for wire in candidates:
            if reason := wire.get("finishReason"):
                yield self._finish(wire.get("index", 0), NUMBERS.get(reason, reason))
        blocked = (chunk.get("promptFeedback") or {}).get("blockReason")
        if blocked and not candidates:
            yield Finish(reason="content_filter", native_reason=blocked)

    def _part(self, choice: int, part: Wire) -> Iterator[ChatEvent]:
        candidate = self._candidates[choice]
        noted = {"thoughtSignature": part["thoughtSignature"]} if "thoughtSignature" in part else {}
        if "text" in part:
            # A signed part stays one of its own: the signature goes back where it was (ai.google.dev).
            block = candidate.block(thought=bool(part.get("thought")), signed=bool(noted))
            kind = ReasoningDelta if part.get("thought") else TextDelta
            yield kind(choice, self._mine(noted), text=part["text"], block=block)
            return
        candidate.last = None
        if "functionCall" in part:
            call = part["functionCall"]
            given = {"id": call["id"]} if call.get("id") else {}
            yield ToolCallDelta(
                choice,
                self._mine({**noted, **given}),
                index=candidate.calls,
                id=call.get("id") or f"call_{secrets.token_hex(8)}",
                name=call["name"],
                arguments=json.dumps(call.get("args") or {}, ensure_ascii=False),
            )
            candidate.calls += 1
        elif "inlineData" in part:
            data, media_type = part["inlineData"]["data"], part["inlineData"]["mimeType"]
            made = ImagePart if media_type.startswith("image/") else FilePart
            yield WholePart(choice, self._mine(noted), part=made(data=data, media_type=media_type))
        else:
            yield WholePart(choice, part=OpaquePart(provider_metadata={self._provider_id: {"part": part}}))

    def _finish(self, choice: int, native: str) -> Finish:
        reason: FinishReason = REASONS.get(native, "content_filter")
        if reason == "stop" and self._candidates[choice].calls:
            reason = "tool_calls"
        return Finish(choice, reason=reason, native_reason=native)

    def _mine(self, noted: Wire) -> ProviderMetadata | None:
        return {self._provider_id: noted} if noted else None


class _Candidate:
    """How far a candidate is."""

    def __init__(self) -> None:
        self.calls = 0
        self.last: tuple[bool, bool] | None = None
        self._number = -1

    def block(self, *, thought: bool, signed: bool) -> int:
        """Return the block of the next text: that of the text before, unless one of them is signed."""
        if self.last != (thought, False) or signed:
            self._number += 1
        self.last = (thought, signed)
        return self._number


def _usage(usage: Mapping[str, Any]) -> Usage:
    """Return the buckets: thoughts are counted beside the candidates, which may be absent."""
    cached = usage.get("cachedContentTokenCount", 0)
    prompt = usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0)
    return Usage(
        input_tokens=prompt - cached,
        cached_input_tokens=cached,
        output_tokens=usage.get("candidatesTokenCount", 0),
        reasoning_tokens=usage.get("thoughtsTokenCount", 0),
    )

"""Answers of `generateContent`, whole or in chunks, as canonical events."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pydantic_core

from orchestrator_core.provider_api import (
    Adjustment,
    ChatEvent,
    FilePart,
    Finish,
    FinishReason,
    ImagePart,
    Json,
    OpaquePart,
    ProviderBadResponse,
    ProviderMetadata,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    WholePart,
)
from orchestrator_gemini.errors import error_in_answer

# https://ai.google.dev/api/generate-content#FinishReason; what is not here is a filter of some kind.
_REASONS: Mapping[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "OTHER": "stop",
    "MALFORMED_FUNCTION_CALL": "stop",
    "MALFORMED_RESPONSE": "stop",
    "UNEXPECTED_TOOL_CALL": "stop",
    "TOO_MANY_TOOL_CALLS": "stop",
    "MISSING_THOUGHT_SIGNATURE": "stop",
    "FINISH_REASON_UNSPECIFIED": "stop",
}
# Enumerations come as integers where `$alt=json;enum-encoding=int` is asked for, and from some proxies.
_NUMBERS = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
_ABOUT = ("groundingMetadata", "urlContextMetadata", "citationMetadata", "logprobsResult")
"""What a candidate says about its content, kept for those who can read it."""


@dataclass(slots=True)
class _Candidate:
    """How far a candidate is."""

    calls: int = 0
    block: int = -1
    last: tuple[bool, bool] | None = None
    reason: str | None = None
    about: dict[str, Json] = field(default_factory=dict)


class AnswerParser:
    """Turns one answer into events. It holds the state of a stream, so each call needs its own.

    Args:
        provider_id: The provider instance, under whose name metadata is kept.
        adjustments: What of the request was changed, for `Start`.
    """

    def __init__(self, provider_id: str, adjustments: Sequence[Adjustment] = ()) -> None:
        self._provider_id = provider_id
        self._adjustments = adjustments
        self._answer_id = ""
        self._candidates: dict[int, _Candidate] = {}
        self._blocked: str | None = None
        self._usage: dict[str, Json] = {}

    @property
    def complete(self) -> bool:
        """Whether every candidate has its end."""
        if not self._candidates:
            return self._blocked is not None
        return all(candidate.reason for candidate in self._candidates.values())

    def read(self, data: bytes) -> list[ChatEvent]:
        """Return the events of a chunk, or of a whole answer but for its end.

        Raises:
            ProviderError: It is an error, mapped to the tree, or has the wrong shape.
        """
        try:
            chunk = pydantic_core.from_json(data)
        except ValueError:
            raise ProviderBadResponse("The provider's answer is no JSON, or was cut off.") from None
        if isinstance(chunk, list) and len(chunk) == 1:
            chunk = chunk[0]
        if not isinstance(chunk, dict):
            raise ProviderBadResponse("The provider's answer is JSON, but no object.")
        if "error" in chunk:
            raise error_in_answer(chunk)
        try:
            return self._chunk(chunk)
        # Asking for each field's type first would cost more than reading the whole chunk.
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise ProviderBadResponse("The provider's answer does not have the shape of its protocol.") from error

    def end(self, *, whole: bool = False) -> list[ChatEvent]:
        """Return the events that end an answer. Some models name a reason in every chunk: only the last counts.

        Args:
            whole: Whether the answer came in one piece, which is an end by itself.

        Raises:
            ProviderBadResponse: It is not complete.
        """
        if not (self.complete or (whole and self._candidates)):
            raise ProviderBadResponse("The provider's answer ended before it was complete.")
        events: list[ChatEvent] = []
        for index, candidate in self._candidates.items():
            if candidate.about:
                about = OpaquePart(provider_metadata={self._provider_id: candidate.about})
                events.append(WholePart(index, part=about))
        for index, candidate in self._candidates.items():
            reason: FinishReason = _REASONS.get(candidate.reason or "STOP", "content_filter")
            if reason == "stop" and candidate.calls:
                reason = "tool_calls"
            events.append(Finish(index, reason=reason, native_reason=candidate.reason))
        if not self._candidates:
            events.append(Finish(reason="content_filter", native_reason=self._blocked))
        return events

    def _chunk(self, chunk: Mapping[str, Json]) -> list[ChatEvent]:
        events: list[ChatEvent] = []
        if not self._answer_id:
            id_, model = _text(chunk.get("responseId")), _text(chunk.get("modelVersion"))
            self._answer_id = id_ or uuid.uuid4().hex
            events.append(Start(id=id_ or None, model=model or None, adjustments=self._adjustments))
        for wire in chunk.get("candidates") or ():
            index = int(wire.get("index", 0))
            candidate = self._candidates.setdefault(index, _Candidate())
            parts = (wire.get("content") or {}).get("parts") or ()
            events += [self._part(index, candidate, part) for part in parts]
            candidate.about.update({name: wire[name] for name in _ABOUT if wire.get(name)})
            if reason := wire.get("finishReason"):
                candidate.reason = reason if isinstance(reason, str) else _NUMBERS.get(reason, str(reason))
        if blocked := (chunk.get("promptFeedback") or {}).get("blockReason"):
            self._blocked = str(blocked)
        if usage := chunk.get("usageMetadata"):
            self._usage.update(usage)
            events.append(UsageReport(usage=_usage(self._usage)))
        return events

    def _part(self, index: int, candidate: _Candidate, part: dict[str, Json]) -> ChatEvent:
        thought = bool(part.pop("thought", False))
        if "functionCall" in part:
            return self._call(index, candidate, part)
        if "inlineData" in part and not thought:
            candidate.last = None
            data, kind = part["inlineData"]["data"], part["inlineData"]["mimeType"]
            made = ImagePart if kind.startswith("image/") else FilePart
            return WholePart(index, self._noted(part, "inlineData"), part=made(data=data, media_type=kind))
        if "text" in part or part.keys() == {"thoughtSignature"}:
            # A signed part stays one of its own: its signature goes back where it was.
            noted, text = self._noted(part, "text"), _text(part.get("text"))
            if candidate.last != (thought, False) or noted:
                candidate.block += 1
            candidate.last = (thought, noted is not None)
            if not thought:
                return TextDelta(index, noted, text=text, block=candidate.block)
            # Unsigned thoughts are Gemini's own too: without a mark another provider would take them for its own.
            own = {**(noted or {}).get(self._provider_id, {}), "thought": True}
            return ReasoningDelta(index, {self._provider_id: own}, text=text, block=candidate.block)
        candidate.last = None
        whole = {**part, "thought": True} if thought else part
        return WholePart(index, part=OpaquePart(provider_metadata={self._provider_id: {"part": whole}}))

    def _call(self, index: int, candidate: _Candidate, part: dict[str, Json]) -> ToolCallDelta:
        candidate.last = None
        call = part["functionCall"]
        number, id_ = candidate.calls, _text(call.get("id"))
        candidate.calls += 1
        noted = dict((self._noted(part, "functionCall") or {}).get(self._provider_id, {}))
        if id_:
            noted["id"] = id_
        made = hashlib.sha256(f"{self._answer_id}/{index}/{number}".encode()).hexdigest()[:24]
        return ToolCallDelta(
            index,
            {self._provider_id: noted} if noted else None,
            index=number,
            id=id_ or f"call_{made}",
            name=_text(call["name"]),
            arguments=pydantic_core.to_json(call.get("args") or {}).decode(),
        )

    def _noted(self, part: Mapping[str, Json], data: str) -> ProviderMetadata | None:
        """Return what stands beside the data of a part, such as its signature."""
        noted = {name: value for name, value in part.items() if name != data}
        return {self._provider_id: noted} if noted else None


def _text(value: Json) -> str:
    if value is not None and not isinstance(value, str):
        raise TypeError("not a text")
    return value or ""


def _usage(wire: Mapping[str, Json]) -> Usage:
    """Return the buckets: thoughts are counted beside the candidates, prompts of server tools beside the prompt."""
    cached = wire.get("cachedContentTokenCount") or 0
    prompt = (wire.get("promptTokenCount") or 0) + (wire.get("toolUsePromptTokenCount") or 0)
    return Usage(
        input_tokens=max(prompt - cached, 0),
        cached_input_tokens=cached,
        output_tokens=wire.get("candidatesTokenCount") or 0,
        reasoning_tokens=wire.get("thoughtsTokenCount") or 0,
    )

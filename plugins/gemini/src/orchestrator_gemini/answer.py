"""Answers of `generateContent`, whole or in chunks, as canonical events."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pydantic_core

from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    Adjustment,
    ChatEvent,
    FilePart,
    Finish,
    FinishReason,
    ImagePart,
    Json,
    Logprobs,
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
from orchestrator_gemini.about import SOURCES, Source, citations, logprobs, merged, rated, sources
from orchestrator_gemini.calls import StreamedCall
from orchestrator_gemini.errors import error_in_answer
from orchestrator_gemini.totals import rest, searches, usage

# https://ai.google.dev/api/generate-content#FinishReason; what is not here is an end as any other.
_REASONS: Mapping[str, FinishReason] = {
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "ESCALATION": "content_filter",
    "PUP_LIMITED_DISABLED": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
# Enumerations come as integers where `$alt=json;enum-encoding=int` is asked for, and from some proxies. These are the
# numbers of google.ai.generativelanguage.v1beta, as its Python client has them.
_NUMBERS = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL",
)
_CANDIDATE = frozenset(("content", "index", "finishReason"))
_ANSWER = frozenset(("candidates", "usageMetadata", "responseId", "modelVersion"))
"""Fields that have a place of their own. All others are kept as notes."""

_CALL = frozenset(("id", "name", "args", "partialArgs", "willContinue"))


@dataclass(slots=True)
class _Candidate:
    """How far a candidate is."""

    calls: int = 0
    block: int = -1
    last: tuple[bool, bool] | None = None
    reason: str | None = None
    going: StreamedCall | None = None
    texts: list[tuple[int, str]] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    about: dict[str, Json] = field(default_factory=dict)
    notes: dict[str, Json] = field(default_factory=dict)


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
        self._model = ""
        self._candidates: dict[int, _Candidate] = {}
        self._usage: dict[str, Json] = {}
        self._notes: dict[str, Json] = {}

    @property
    def complete(self) -> bool:
        """Whether every candidate has its end."""
        if not self._candidates:
            return self._blocked is not None
        return all(candidate.reason for candidate in self._candidates.values())

    @property
    def _blocked(self) -> str | None:
        """Why the prompt was not answered."""
        reason = _fields(self._notes.get("promptFeedback")).get("blockReason")
        return str(reason) if reason else None

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
        if chunk.get("error") is not None:
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
            self._close(index, candidate, events)
            for block, cited in citations(candidate.sources, candidate.texts).items():
                events.append(TextDelta(index, {OPENAI_CHAT: {"annotations": cited}}, block=block))
            if candidate.about:
                events.append(WholePart(index, part=OpaquePart(provider_metadata=self._mine(candidate.about))))
        self._last_report(events)
        for index, candidate in self._candidates.items():
            reason = _REASONS.get(candidate.reason or "", "stop")
            if reason == "stop" and candidate.calls:
                reason = "tool_calls"
            self._refuse(index, reason, candidate.notes.get("finishMessage"), events)
            noted = self._mine(candidate.notes)
            events.append(Finish(index, noted, reason=reason, native_reason=candidate.reason))
        if not self._candidates:
            message = _fields(self._notes.get("promptFeedback")).get("blockReasonMessage")
            self._refuse(0, "content_filter", message, events)
            events.append(Finish(reason="content_filter", native_reason=self._blocked))
        return events

    def _refuse(self, index: int, reason: FinishReason, message: Json, events: list[ChatEvent]) -> None:
        if reason == "content_filter" and isinstance(message, str) and message:
            events.append(RefusalDelta(index, text=message))

    def _last_report(self, events: list[ChatEvent]) -> None:
        """Report what was only complete at the end."""
        found = sum(searches(each.about.get("groundingMetadata"), self._model) for each in self._candidates.values())
        uncounted = rest(self._usage)
        notes = {**self._notes, **({"usageMetadata": uncounted} if uncounted else {})}
        if found or notes:
            used = usage(self._usage, searches=found) if self._usage or found else None
            events.append(UsageReport(0, self._mine(notes), usage=used))

    def _chunk(self, chunk: Mapping[str, Json]) -> list[ChatEvent]:
        events: list[ChatEvent] = []
        if not self._answer_id:
            id_, self._model = _word(chunk.get("responseId")), _word(chunk.get("modelVersion"))
            self._answer_id = id_ or uuid.uuid4().hex
            events.append(Start(id=id_ or None, model=self._model or None, adjustments=self._adjustments))
        for wire in chunk.get("candidates") or ():
            index = int(wire.get("index") or 0)
            candidate = self._candidates.setdefault(index, _Candidate())
            for part in (wire.get("content") or {}).get("parts") or ():
                self._part(index, candidate, {name: each for name, each in part.items() if each is not None}, events)
            self._about(index, candidate, wire, events)
            if reason := wire.get("finishReason"):
                number = reason if type(reason) is int and 0 <= reason < len(_NUMBERS) else None
                candidate.reason = str(reason) if number is None else _NUMBERS[number]
        for name in chunk.keys() - _ANSWER:
            if chunk[name] is not None:
                self._notes[name] = merged(self._notes.get(name), chunk[name])
        if counted := _fields(chunk.get("usageMetadata")):
            self._usage.update(counted)
            events.append(UsageReport(usage=usage(self._usage)))
        return events

    def _about(self, index: int, candidate: _Candidate, wire: Mapping[str, Json], events: list[ChatEvent]) -> None:
        """Take what a chunk says about a candidate beside its content."""
        for name in wire.keys() - _CANDIDATE:
            value, notes = wire[name], candidate.about if name in SOURCES else candidate.notes
            if name == "safetyRatings":
                value = rated(notes.get(name), value)
            elif name == "logprobsResult" and (tokens := logprobs(_fields(value))):
                events.append(Logprobs(index, content=tokens))
                value = {each: value[each] for each in value.keys() - {"chosenCandidates", "topCandidates"}}
            else:
                value = merged(notes.get(name), value)
            if value or (value is not None and not isinstance(value, list | dict)):
                notes[name] = value
        if wire.keys() & set(SOURCES):
            new = (each for each in sources(wire, candidate.about) if each not in candidate.sources)
            candidate.sources.extend(new)

    def _part(self, index: int, candidate: _Candidate, part: dict[str, Json], events: list[ChatEvent]) -> None:
        thought = bool(part.pop("thought", False))
        media = part.get("inlineData")
        if "functionCall" in part:
            self._call(index, candidate, part, events)
        elif isinstance(media, Mapping) and media.get("data") and media.get("mimeType") and not thought:
            candidate.last = None
            data, kind = media["data"], media["mimeType"]
            made = ImagePart if kind.startswith("image/") else FilePart
            events.append(WholePart(index, self._noted(part, "inlineData"), part=made(data=data, media_type=kind)))
        elif "text" in part or part.keys() == {"thoughtSignature"}:
            # A signed part stays one of its own: its signature goes back where it was.
            noted, text = self._noted(part, "text"), _text(part.get("text"))
            if candidate.last != (thought, False) or noted:
                candidate.block += 1
            candidate.last = (thought, noted is not None)
            if not thought:
                candidate.texts.append((candidate.block, text))
                events.append(TextDelta(index, noted, text=text, block=candidate.block))
                return
            # Unsigned thoughts are Gemini's own too: without a mark another provider would take them for its own.
            own = {**(noted or {}).get(self._provider_id, {}), "thought": True}
            events.append(ReasoningDelta(index, {self._provider_id: own}, text=text, block=candidate.block))
        elif part:
            candidate.last = None
            whole = {**part, "thought": True} if thought else part
            events.append(WholePart(index, part=OpaquePart(provider_metadata={self._provider_id: {"part": whole}})))

    def _call(self, index: int, candidate: _Candidate, part: dict[str, Json], events: list[ChatEvent]) -> None:
        candidate.last = None
        call, going = part["functionCall"], candidate.going
        name, id_ = _text(call.get("name")), _text(call.get("id"))
        noted = dict((self._noted(part, "functionCall") or {}).get(self._provider_id, {}))
        if going is not None and (not name or (id_ and id_ == going.id)):
            going.add(call)
            if noted:
                events.append(ToolCallDelta(index, self._mine(noted), index=going.number))
            if not call.get("willContinue"):
                self._close(index, candidate, events)
            return
        self._close(index, candidate, events)
        if not call:
            return  # the end of a call that has none
        candidate.going = StreamedCall(candidate.calls, id_)
        candidate.going.add(call)
        candidate.calls += 1
        if id_:
            noted["id"] = id_
        if more := {each: call[each] for each in call.keys() - _CALL}:
            noted["functionCall"] = more
        number = candidate.going.number
        made = hashlib.sha256(f"{self._answer_id}/{index}/{number}".encode()).hexdigest()[:24]
        begun = ToolCallDelta(
            index, self._mine(noted), index=number, id=id_ or f"call_{made}", name=name or call["name"]
        )
        events.append(begun)
        if not call.get("willContinue"):
            begun.arguments = candidate.going.arguments
            candidate.going = None

    def _close(self, index: int, candidate: _Candidate, events: list[ChatEvent]) -> None:
        """End a call whose arguments came in pieces."""
        if (going := candidate.going) is not None:
            events.append(ToolCallDelta(index, index=going.number, arguments=going.arguments))
            candidate.going = None

    def _noted(self, part: Mapping[str, Json], data: str) -> ProviderMetadata | None:
        """Return what stands beside the data of a part, such as its signature."""
        return self._mine({name: value for name, value in part.items() if name != data})

    def _mine(self, noted: Mapping[str, Json]) -> ProviderMetadata | None:
        return {self._provider_id: noted} if noted else None


def _text(value: Json) -> str:
    if value is not None and not isinstance(value, str):
        raise TypeError("not a text")
    return value or ""


def _word(value: Json) -> str:
    """Return a text that nothing depends on; empty where it is none."""
    return value if isinstance(value, str) else ""


def _fields(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}

"""What the OpenAI family answers, whole bodies and chunks of streams alike, as canonical events.

This is the hot path of every streamed token: plain dictionaries, no models, no validation beyond what would
otherwise corrupt an answer. A wrong shape surfaces as `ProviderBadResponse`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import pydantic_core

from orchestrator_core.openai_compatible.dialect import Dialect
from orchestrator_core.openai_compatible.errors import error_in_answer
from orchestrator_core.openai_compatible.usage import read_usage
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    Adjustment,
    ChatEvent,
    Finish,
    FinishReason,
    Json,
    NativeEvent,
    NativeOnly,
    ProviderBadResponse,
    ProviderFailed,
    ProviderMetadata,
    ProviderUnavailable,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)

_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "model_length": "length",  # Mistral: the context window is full
}
_KNOWN_CALL_FIELDS = frozenset({"index", "id", "type", "function", "custom"})
_WRONG_SHAPE = "The provider's answer does not have the shape of its protocol."


class _Call:
    """A tool call under way: what the wire calls it, and what was said of it so far."""

    __slots__ = ("id", "named", "wire_index")

    def __init__(self, wire_index: int | None, id_: str) -> None:
        self.wire_index, self.id, self.named = wire_index, id_, False


class AnswerParser:
    """Turns one answer into events. It holds the state of a stream, so each call needs its own.

    Args:
        dialect: The vendor's differences.
        provider_id: The provider instance, under whose name metadata is kept.
        native: Whether events carry the upstream's bytes.
        adjustments: What of the request was changed, for `Start`.
        choices: How many alternatives were asked for.
    """

    def __init__(
        self,
        dialect: Dialect,
        provider_id: str,
        *,
        native: bool = False,
        adjustments: Sequence[Adjustment] = (),
        choices: int = 1,
    ) -> None:
        self._dialect = dialect
        self._provider_id = provider_id
        self._native = native
        self._adjustments = adjustments
        self._expected = choices
        self._reasoning_fields = tuple(dialect.reasoning_fields)
        self._replayed: ProviderMetadata | None = (
            None if dialect.replay_reasoning == "none" else {provider_id: {"field": self._reasoning_fields[0]}}
        )
        self._calls: dict[int, list[_Call]] = {}
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._started = False

    def complete(self, *, closed: bool) -> bool:
        """Say whether every choice has its end.

        Args:
            closed: Whether the provider said that nothing more comes (`[DONE]`). Where it did not, each of the
                choices that were asked for must have come too.
        """
        wanted = 1 if closed else self._expected
        return len(self._finished) >= wanted and self._finished == self._seen

    def chunk(self, data: bytes, event: str | None = None) -> list[ChatEvent]:
        """Return the events of one server-sent event.

        Args:
            data: Its data, JSON.
            event: Its name, where it has one.

        Raises:
            ProviderError: It is an error, mapped to the tree, or has the wrong shape.
        """
        body = _object(data)
        if body.get("error") or event == "error" or body.get("object") == "error":
            raise error_in_answer(body, streamed=True)
        events: list[ChatEvent] = []
        try:
            if not self._started:
                self._start(body, events)
            usage = body.get("usage")
            for choice in body.get("choices") or ():
                self._part(choice.get("index") or 0, choice, choice.get("delta") or {}, events)
                usage = usage or choice.get("usage")  # Moonshot puts it here
            if usage:
                events.append(UsageReport(usage=read_usage(usage, reasoning_outside=self._dialect.reasoning_outside)))
        # Asking for each field's type first would cost more than reading the whole chunk.
        except (AttributeError, TypeError, KeyError) as error:
            raise ProviderBadResponse(_WRONG_SHAPE) from error
        if self._native:
            if events:
                events[0].native = NativeEvent(OPENAI_CHAT, data)
            else:
                events.append(NativeOnly(native=NativeEvent(OPENAI_CHAT, data)))
        return events

    def body(self, data: bytes) -> list[ChatEvent]:
        """Return the events of a whole answer.

        Raises:
            ProviderError: It is an error object, mapped to the tree, or has the wrong shape.
        """
        body = _object(data)
        if body.get("error") or body.get("object") == "error":
            raise error_in_answer(body, streamed=False)
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices:
            raise ProviderBadResponse("The provider's answer has no choices.")
        events: list[ChatEvent] = []
        try:
            self._start(body, events)
            for position, choice in enumerate(choices):
                index = choice.get("index")
                index = index if type(index) is int else position
                self._part(index, choice, choice["message"], events)
                if index not in self._finished:  # a whole body is an end by itself
                    self._finish(index, None, events)
            usage = body.get("usage") or choices[0].get("usage")
            if usage:
                events.append(UsageReport(usage=read_usage(usage, reasoning_outside=self._dialect.reasoning_outside)))
        except (AttributeError, TypeError, KeyError) as error:  # as above
            raise ProviderBadResponse(_WRONG_SHAPE) from error
        if self._native:
            events[0].native = NativeEvent(OPENAI_CHAT, data)
        return events

    def _start(self, body: Mapping[str, Json], events: list[ChatEvent]) -> None:
        self._started = True
        id_, model, created = body.get("id"), body.get("model"), body.get("created")
        events.append(
            Start(
                id=id_ if type(id_) is str else None,
                model=model if type(model) is str else None,
                created=created if type(created) is int else None,
                adjustments=self._adjustments,
            )
        )

    def _part(
        self, index: int, choice: Mapping[str, Json], message: Mapping[str, Json], events: list[ChatEvent]
    ) -> None:
        """Read a delta or a whole message: their fields are the same."""
        if type(index) is not int:
            raise TypeError("the index of a choice is no number")
        self._seen.add(index)
        for name in self._reasoning_fields:
            reasoning = message.get(name)
            if reasoning:
                events.append(ReasoningDelta(index, self._replayed, text=_string(reasoning)))
                break
        content = message.get("content")
        if content:
            if type(content) is str:
                events.append(TextDelta(index, text=content))
            else:
                self._content_parts(index, content, events)
        if message.get("refusal"):
            events.append(RefusalDelta(index, text=_string(message["refusal"])))
        if message.get("audio"):  # spoken answers; the sound itself goes to native clients only
            transcript = message["audio"].get("transcript")
            if transcript:
                events.append(TextDelta(index, text=_string(transcript)))
        if message.get("tool_calls"):
            whole = "message" in choice
            events += [self._call(index, call, whole=whole) for call in message["tool_calls"]]
        elif message.get("function_call"):  # the form before tool_calls, still spoken by old servers
            events.append(self._call(index, {"index": 0, "function": message["function_call"]}, whole=False))
        reason = choice.get("finish_reason")
        if reason and index not in self._finished:
            self._finish(index, reason, events)

    def _content_parts(self, index: int, parts: Json, events: list[ChatEvent]) -> None:
        """Read content that is a list: Mistral's `thinking` and `text` parts, or plain strings."""
        if not isinstance(parts, list):
            raise TypeError("content is neither text nor parts")
        for part in parts:
            if isinstance(part, str):
                events.append(TextDelta(index, text=part))
                continue
            kind = part.get("type")
            if kind == "text" and part.get("text"):
                events.append(TextDelta(index, text=_string(part["text"])))
            elif kind == "refusal" and part.get("refusal"):
                events.append(RefusalDelta(index, text=_string(part["refusal"])))
            elif kind == "thinking":
                thinking = part.get("thinking") or ""
                if not isinstance(thinking, str):
                    thinking = "".join(piece.get("text") or "" for piece in thinking)
                if thinking:
                    events.append(ReasoningDelta(index, self._replayed, text=thinking))

    def _call(self, choice: int, wire: Mapping[str, Json], *, whole: bool) -> ToolCallDelta:
        """Read a tool call or a fragment of one.

        Vendors differ in every field: no index (xAI in whole bodies), one index for all calls (Mistral), an
        empty id in later fragments (DashScope), no id at all. A fragment continues the last call with its index,
        unless it names another id.
        """
        calls = self._calls.setdefault(choice, [])
        wire_index, id_ = wire.get("index"), wire.get("id") or ""
        position = -1
        if not whole:
            for place in range(len(calls) - 1, -1, -1):
                known = calls[place]
                if known.wire_index == wire_index and (not id_ or known.id == id_):
                    position = place
                    break
        function = wire.get("function") or wire.get("custom") or {}
        arguments = function.get("arguments")
        if arguments is None:
            arguments = function.get("input") or ""
        elif type(arguments) is not str:  # an object where the protocol has text
            arguments = pydantic_core.to_json(arguments).decode()
        name = _string(function.get("name") or "")
        if position < 0:
            call = _Call(wire_index, _string(id_) or f"call_{uuid.uuid4().hex[:24]}")
            call.named = bool(name)
            calls.append(call)
            return ToolCallDelta(
                choice, self._call_metadata(wire), None, len(calls) - 1, call.id, name or None, arguments
            )
        call = calls[position]
        new_name = None if call.named else name or None  # some servers repeat it in every fragment
        call.named = call.named or bool(name)
        return ToolCallDelta(choice, None, None, position, None, new_name, arguments)

    def _call_metadata(self, wire: Mapping[str, Json]) -> ProviderMetadata | None:
        """Keep what must come back with the call, such as Gemini's signatures in `extra_content`."""
        kept = {name: wire[name] for name in wire.keys() - _KNOWN_CALL_FIELDS}
        if wire.get("type") == "custom":
            kept["type"] = "custom"
        return {self._provider_id: kept} if kept else None

    def _finish(self, index: int, reason: str | None, events: list[ChatEvent]) -> None:
        if reason in ("error", "insufficient_system_resource"):  # the latter is DeepSeek's
            kind = ProviderFailed if reason == "error" else ProviderUnavailable
            raise kind("The provider broke off its answer with an error.", upstream_code=reason)
        self._finished.add(index)
        word = _REASONS.get(reason or "stop", "stop")
        if word == "stop" and index in self._calls:  # OpenAI says so of calls that were demanded by name
            word = "tool_calls"
        events.append(Finish(index, reason=word, native_reason=reason))


def _object(data: bytes) -> dict[str, Json]:
    try:
        body = pydantic_core.from_json(data)
    except ValueError:
        raise ProviderBadResponse("The provider's answer is no JSON, or was cut off.") from None
    if type(body) is not dict:
        raise ProviderBadResponse("The provider's answer is JSON, but no object.")
    return body


def _string(value: Json) -> str:
    if type(value) is not str:
        raise TypeError("not a text")
    return value

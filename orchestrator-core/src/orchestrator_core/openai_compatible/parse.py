"""What the OpenAI family answers, whole bodies and chunks of streams alike, as canonical events.

This is the hot path of every streamed token: plain dictionaries, no models, no validation beyond what would
otherwise corrupt an answer. A wrong shape surfaces as `ProviderBadResponse`.

Events carry the upstream's bytes for clients of the same protocol. Where a vendor's spelling would mislead such a
client (tokens counted elsewhere, calls without an index or id, content as a list), just that is spelt OpenAI's way, and
all else is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import pydantic_core

from orchestrator_core.openai_compatible.dialect import Dialect
from orchestrator_core.openai_compatible.errors import error_in_answer
from orchestrator_core.openai_compatible.messages import CONTENT, PART, THINKING
from orchestrator_core.openai_compatible.skimming import Skimmer
from orchestrator_core.openai_compatible.tool_calls import ToolCalls
from orchestrator_core.openai_compatible.unnamed import Unnamed, Unread
from orchestrator_core.openai_compatible.usage import as_openai_counts, read_usage
from orchestrator_core.provider_api import (
    FIELDS,
    OPENAI_CHAT,
    THOUGHT,
    Adjustment,
    ChatEvent,
    Finish,
    FinishReason,
    ImagePart,
    Json,
    NativeEvent,
    NativeOnly,
    OpaquePart,
    ProviderBadResponse,
    ProviderFailed,
    ProviderMetadata,
    ProviderUnavailable,
    ReasoningDelta,
    RefusalDelta,
    ServerSentEvent,
    Start,
    TextDelta,
    UsageReport,
    WholePart,
)

_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "model_length": "length",  # Mistral: the context window is full
}
_LATEST = 253402300799
"""The end of the year 9999; a time after it is a fault, and no date."""

_DATA_URI = re.compile(r"data:([^;,]+);base64,")

_WRONG_SHAPE = "The provider's answer does not have the shape of its protocol."


class AnswerParser:
    """Turns one answer into events. It holds the state of a stream, so each call needs its own.

    Args:
        dialect: The vendor's differences.
        provider_id: The provider instance, under whose name metadata is kept.
        native: Whether events carry the upstream's bytes.
        skim: Whether nobody but a client that gets these bytes reads the text: it is not taken apart then.
        adjustments: What of the request was changed, for `Start`.
        choices: How many alternatives were asked for.
        sound: The format of a spoken answer that was asked for.
    """

    __slots__ = (
        "_adjustments",
        "_calls",
        "_dialect",
        "_ends",
        "_expected",
        "_images",
        "_native",
        "_provider_id",
        "_reasoning_fields",
        "_respelt",
        "_signed",
        "_skimmer",
        "_spoken",
        "_started",
        "_thought",
        "_tier",
        "_unnamed",
    )

    def __init__(
        self,
        dialect: Dialect,
        provider_id: str,
        *,
        native: bool = False,
        skim: bool = False,
        adjustments: Sequence[Adjustment] = (),
        choices: int = 1,
        sound: str | None = None,
    ) -> None:
        self._dialect = dialect
        self._provider_id = provider_id
        self._native = native
        self._adjustments = adjustments
        self._expected = choices
        self._reasoning_fields = tuple(dialect.reasoning_fields)
        # Also where it is not given back: without a mark another provider would take it for its own.
        self._thought = _mark_of(provider_id, self._reasoning_fields[0])
        self._calls: ToolCalls | None = None
        # A client of the same protocol gets the upstream's bytes, with all that they say.
        named = self._reasoning_fields
        self._unnamed = Unread(named) if native else Unnamed(provider_id, named=named, sound=sound)
        self._tier: Json = None
        self._respelt = False
        self._signed: set[int] = set()
        self._images: dict[int, int] = {}
        self._ends: dict[int, bool] = {}  # of each choice that came: whether it has its end
        self._started = self._spoken = False
        self._skimmer = Skimmer() if skim else None

    def complete(self, *, closed: bool) -> bool:
        """Say whether every choice has its end.

        Args:
            closed: Whether the provider said that nothing more comes (`[DONE]`). Where it did not, each of the
                choices that were asked for must have come too.
        """
        wanted = 1 if closed else self._expected
        return len(self._ends) >= wanted and all(self._ends.values())

    def skims(self, event: ServerSentEvent) -> int | None:
        """Return the bytes of text in an event that is nothing but text that nobody takes apart, or None.

        The first text is not among it: with that the answer has begun.
        """
        skimmer = self._skimmer
        if skimmer is None or not self._spoken or event.event is not None:
            return None
        return skimmer.text_bytes(event.data)

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
                if choice.get("usage"):  # Moonshot puts it here, where no client of OpenAI looks for it
                    usage = usage or choice.pop("usage")
            if usage:
                self._usage(usage, body, events)
            self._unnamed.answer(body, events)
        # Asking for each field's type first would cost more than reading the whole chunk.
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise ProviderBadResponse(_WRONG_SHAPE) from error
        if self._native:
            if self._respelt:
                data = pydantic_core.to_json(body)
                self._respelt = False
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
                if not self._ends[index]:  # a whole body is an end by itself
                    self._finish(index, None, events)
            usage = body.get("usage") or choices[0].get("usage")
            if usage:
                self._usage(usage, body, events)
            self._unnamed.answer(body, events)
        except (AttributeError, TypeError, KeyError, ValueError) as error:  # as above
            raise ProviderBadResponse(_WRONG_SHAPE) from error
        if self._native:
            events[0].native = NativeEvent(OPENAI_CHAT, pydantic_core.to_json(body) if self._respelt else data)
        return events

    def _start(self, body: Mapping[str, Json], events: list[ChatEvent]) -> None:
        self._started = True
        id_, model, created = body.get("id"), body.get("model"), body.get("created")
        self._tier = body.get("service_tier")
        events.append(
            Start(
                id=id_ if type(id_) is str else None,
                model=model if type(model) is str else None,
                created=created if type(created) is int and 0 < created <= _LATEST else None,
                adjustments=self._adjustments,
            )
        )

    def _usage(self, wire: Mapping[str, Json], body: dict[str, Json], events: list[ChatEvent]) -> None:
        self._tier = body.get("service_tier") or self._tier
        usage = read_usage(wire, reasoning_outside=self._dialect.reasoning_outside, tier=self._tier)
        events.append(UsageReport(usage=usage))
        counts = as_openai_counts(wire, usage)
        if counts is not None or not body.get("usage"):
            body["usage"], self._respelt = counts or wire, True

    def _part(self, index: int, choice: Mapping[str, Json], message: dict[str, Json], events: list[ChatEvent]) -> None:
        """Read a delta or a whole message: their fields are the same."""
        if type(index) is not int:
            raise TypeError("the index of a choice is no number")
        ended = self._ends.setdefault(index, False)
        for name in self._reasoning_fields:
            reasoning = message.get(name)
            if reasoning:
                events.append(ReasoningDelta(index, self._thought, text=_string(reasoning)))
                self._sign(index, message)
                break
        content = message.get("content")
        if content:
            if type(content) is str:
                events.append(TextDelta(index, text=content))
                self._spoken = self._spoken or index == 0
            else:
                self._content_parts(index, message, events)
        if message.get("refusal"):
            events.append(RefusalDelta(index, text=_string(message["refusal"])))
        if message.get("audio"):  # a spoken answer: what was said; the sound comes whole
            transcript = message["audio"].get("transcript")
            if transcript:
                events.append(TextDelta(index, text=_string(transcript)))
        if message.get("tool_calls") or message.get("function_call"):
            self._called(index, message, events, whole="message" in choice)
        if owned := self._unnamed.choice(index, choice, message, events):
            self._mark(message, {FIELDS: [*owned]})
        reason = choice.get("finish_reason")
        if reason and not ended:
            self._finish(index, reason, events)

    def _called(self, index: int, message: dict[str, Json], events: list[ChatEvent], *, whole: bool) -> None:
        """Read calls of tools."""
        if self._calls is None:
            self._calls = ToolCalls(self._provider_id)
        calls = self._calls
        if message.get("tool_calls"):
            events += [calls.read(index, call, whole=whole) for call in message["tool_calls"]]
        else:  # the form before tool_calls, still spoken by old servers
            call = {"index": 0, "id": "", "function": message["function_call"]}
            events.append(calls.read(index, call, whole=False))
        if calls.respelt:
            self._respelt, calls.respelt = True, False

    def _content_parts(self, index: int, message: dict[str, Json], events: list[ChatEvent]) -> None:
        """Read content that is a list, as Mistral's, and respell it; what OpenAI has no form for is kept beside it."""
        parts = message["content"]
        if not isinstance(parts, list):
            raise TypeError("content is neither text nor parts")
        read = [event for part in parts for event in self._content_part(index, part)]
        events += read
        message["content"] = "".join(event.text for event in read if type(event) is TextDelta) or None
        if thought := "".join(event.text for event in read if type(event) is ReasoningDelta):
            message["reasoning_content"] = thought
        whole = [event.part for event in read if type(event) is WholePart]
        if images := [part for part in whole if isinstance(part, ImagePart)]:
            message["images"] = [self._image(index, part) for part in images]
        noted = any(type(event) is ReasoningDelta and event.provider_metadata is not self._thought for event in read)
        if noted or len(whole) > len(images):
            message["extra_content"] = {self._provider_id: {CONTENT: parts}}
        if thought:
            self._sign(index, message)
        self._respelt = True

    def _sign(self, index: int, message: dict[str, Json]) -> None:
        """Say whose thoughts a message has, for a client that gets the upstream's bytes and gives it to another one.

        Clients join the pieces of a stream, so it is said once of each choice.
        """
        if self._native and index not in self._signed:
            self._signed.add(index)
            self._mark(message, self._thought[self._provider_id])

    def _mark(self, message: dict[str, Json], note: Mapping[str, Json]) -> None:
        noted = message.get("extra_content") or {}
        own = {**(noted.get(self._provider_id) or {}), **note}
        message["extra_content"] = {**noted, self._provider_id: own}
        self._respelt = True

    def _content_part(self, index: int, part: Json) -> Iterator[ChatEvent]:
        kind = "text" if isinstance(part, str) else part.get("type")
        if kind == "text":
            text = _string(part if isinstance(part, str) else part.get("text") or "")
            if text:
                yield TextDelta(index, text=text)
        elif kind == "refusal":
            if part.get("refusal"):
                yield RefusalDelta(index, text=_string(part["refusal"]))
        elif kind == "thinking":
            yield from self._thinking(index, part)
        elif kind == "image_url":
            yield WholePart(index, part=_image_of(part["image_url"]))
        else:  # citations: https://docs.mistral.ai/capabilities/citations
            yield WholePart(index, part=OpaquePart(provider_metadata={self._provider_id: {PART: part}}))

    def _thinking(self, index: int, part: Mapping[str, Json]) -> Iterator[ChatEvent]:
        thinking = part.get("thinking") or ""
        pieces = [{"type": "text", "text": thinking}] if isinstance(thinking, str) else thinking
        text = "".join(_string(piece.get("text") or "") for piece in pieces)
        # That it is closed is said of every one; a signature is not.
        noted = {name: value for name, value in part.items() if name not in ("type", "thinking", "closed") and value}
        if text or noted:
            mark = (
                {self._provider_id: {**self._thought[self._provider_id], THINKING: noted}} if noted else self._thought
            )
            yield ReasoningDelta(index, mark, text=text)
        for piece in pieces:
            if piece.get("type", "text") != "text":
                cited = {"type": "thinking", "thinking": [piece]}
                yield WholePart(index, part=OpaquePart(provider_metadata={self._provider_id: {PART: cited}}))

    def _image(self, index: int, part: ImagePart) -> dict[str, Json]:
        """Write an image as the gateway's own answers carry it."""
        number = self._images.get(index, 0)
        self._images[index] = number + 1
        url = part.url or f"data:{part.media_type};base64,{part.data}"
        return {"type": "image_url", "index": number, "image_url": {"url": url}}

    def _finish(self, index: int, reason: str | None, events: list[ChatEvent]) -> None:
        if reason in ("error", "insufficient_system_resource"):  # the latter is DeepSeek's
            kind = ProviderFailed if reason == "error" else ProviderUnavailable
            raise kind("The provider broke off its answer with an error.", upstream_code=reason)
        self._ends[index] = True
        word = _REASONS.get(reason or "stop", "stop")
        if word == "stop" and self._calls is not None and index in self._calls:
            word = "tool_calls"  # OpenAI says `stop` of calls that were demanded by name
        noted = self._unnamed.end(index, events)
        events.append(Finish(index, noted, reason=word, native_reason=reason))


@lru_cache(maxsize=64)
def _mark_of(provider_id: str, field: str) -> ProviderMetadata:
    """Return what says whose a thought is."""
    return {provider_id: {THOUGHT: field}}


def _object(data: bytes) -> dict[str, Json]:
    try:
        body = pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError:
        raise ProviderBadResponse("The provider's answer is no JSON, or was cut off.") from None
    if type(body) is not dict:
        raise ProviderBadResponse("The provider's answer is JSON, but no object.")
    return body


def _image_of(wire: Json) -> ImagePart:
    url = _string(wire if isinstance(wire, str) else wire["url"])
    found = _DATA_URI.match(url)
    return ImagePart(url=url) if found is None else ImagePart(data=url[found.end() :], media_type=found[1])


def _string(value: Json) -> str:
    if type(value) is not str:
        raise TypeError("not a text")
    return value

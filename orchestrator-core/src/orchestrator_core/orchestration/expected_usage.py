"""What a call is expected to use, before it is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestrator_core.orchestration.answer_limits import answer_limits
from orchestrator_core.orchestration.estimate import asked_tokens, weigh_fields, weigh_json
from orchestrator_core.orchestration.media import as_medium, asked_media, heard_tokens
from orchestrator_core.orchestration.policy import USUAL_ANSWER
from orchestrator_core.provider_api import (
    NO_DETAILS,
    ChatRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    Json,
    Message,
    NativeRequest,
    Part,
    ReasoningPart,
    ToolResultPart,
    Usage,
    UsageDetails,
)
from orchestrator_core.sessions.weights import ASCII_BYTES, weigh, weigh_text

_MOST: Final = 2**31 - 1
"""Tokens that no call gives, whatever its caller says: providers count them in 32 bits."""

_FRAME: Final = 100.0
"""Tokens of a request's JSON that are no input: its names, marks and numbers."""

_MARKS: Final = 10.0
"""Tokens of the JSON around a message that are no input."""

_CONVERSATION: Final = frozenset(("messages", "input", "system"))
"""Fields of a client's body that say what core has read as the conversation."""

_LOOKS: Final = 1000
"""Values of a conversation that are weighed one by one: pictures, which take long to write, are rarely beyond them."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a call is expected to use.

    Attributes:
        least: The least, as if the answer were text.
        most: The most, as if the answer were text.
        media: What else it may be, as `asked_media` has it.
    """

    least: Usage
    most: Usage
    media: Mapping[str | None, str] = field(default_factory=dict)

    def ways(self, usage: Usage) -> Sequence[Usage]:
        """Return a usage as text, and as each of the media."""
        return [usage, *(as_medium(usage, count) for count in self.media if count is not None)]


def expected_usage(request: ChatRequest | EmbeddingRequest) -> Expected:
    """Return what a call is expected to use.

    What core reads of the input is weighed, and what it does not read too, as text: providers may count any of it.

    An answer whose length is limited is taken to have that length, in whatever words the limit is said: of several the
    largest counts. One that is not takes what is left of the budget, up to the usual answer: so the last of a budget
    can be used too, and by one call at a time.

    Raises:
        InvalidRequest: As for `answer_limits`.
    """
    if isinstance(request, EmbeddingRequest):
        asked = asked_tokens(request) + round(_beyond_frame(_rest(request.extra, request.native)))
        return Expected(Usage(input_tokens=asked), Usage(input_tokens=asked))
    asked = _asked(request)
    limits, heard = answer_limits(request), heard_tokens(request)
    details = UsageDetails(input_audio_tokens=heard) if heard else NO_DETAILS
    said = limits.tokens or 0
    usual = said if limits.limited else max(said, USUAL_ANSWER)
    least, most = (
        Usage(input_tokens=asked, output_tokens=min(length * limits.choices, _MOST), details=details)
        for length in (said, usual)
    )
    return Expected(least, most, asked_media(request))


def _asked(request: ChatRequest) -> int:
    """Return about the most tokens that a provider may find in what a call sends."""
    fields, rest = weigh_fields(request), _beyond_frame(_rest(request.extra, request.native_options))
    fields = fields + rest if request.native_options is None else max(fields, rest)
    read, native = weigh(request.messages), request.native
    text = read.text
    if native is None or not native.plain:  # what is plain is read whole
        text += _unread(request.messages)
        if native is not None:
            sent = _weigh_conversation(native.body, request.extra) - _data(_parts(request.messages)) / ASCII_BYTES
            text = max(text, sent - _FRAME - _MARKS * len(request.messages))
    return round(text + fields + read.other)


def _rest(extra: Mapping[str, Json], options: NativeRequest | None) -> Mapping[str, Json]:
    """Return the fields beside the conversation, also those that core understood in part: `extra` lacks what it did."""
    body = {} if options is None else options.body
    return {**extra, **{name: value for name, value in body.items() if name not in _CONVERSATION}}


def _weigh_conversation(body: Mapping[str, Json], extra: Mapping[str, Json]) -> float:
    """Return what the conversation in a client's body weighs, whatever core reads of it; `extra` is beside it."""
    weight = 0.0
    left: list[Json] = [value for name, value in body.items() if name in _CONVERSATION and name not in extra]
    for _ in range(_LOOKS):
        if not left:
            return weight
        value = left.pop()
        if isinstance(value, str):
            weight += weigh_text(value)
        elif isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            left += value
            left += value.values()
        else:
            weight += weigh_json(value)
    return weight + weigh_json(left)


def _beyond_frame(fields: Mapping[str, Json]) -> float:
    return max(0.0, weigh_json(fields) - _FRAME) if fields else 0.0


def _unread(messages: Iterable[Message]) -> float:
    """Return what weighs that of messages which core keeps for a provider and does not read."""
    weight = 0.0
    for part in _parts(messages):
        if part.provider_metadata:
            weight += weigh_json(part.provider_metadata)
        if isinstance(part, ReasoningPart):
            weight += weigh_text(part.text)
    return weight


def _data(parts: Iterable[Part]) -> int:
    """Return the bytes of base64 in parts; what it is of counts flat."""
    return sum(len(part.data) for part in parts if isinstance(part, ImagePart | FilePart) and part.data is not None)


def _parts(messages: Iterable[Message]) -> Iterator[Part]:
    for message in messages:
        for part in message.parts:
            yield part
            if isinstance(part, ToolResultPart) and not isinstance(part.content, str):
                yield from part.content

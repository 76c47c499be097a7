"""What `chat` yields: slotted dataclasses, made for every token and therefore not validated.

Order: `Start` first, only after the upstream accepted the call; then anything; each choice ends with `Finish`.
Deltas of the same kind, choice and `block` that follow each other make one part. The events of one upstream
event stand together, and the first of them carries it in `native` where the request asked in the same dialect.
Core ignores kinds that it does not know.

Events that come together, such as those of a whole answer or of one packet of a stream, are best yielded together, in
a list or a tuple: they travel through core in one step then. An event by itself is as good where it comes by itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, TypeAlias

from orchestrator_core.provider_api.messages import FilePart, ImagePart, Json, OpaquePart, ProviderMetadata
from orchestrator_core.provider_api.native import NativeEvent
from orchestrator_core.provider_api.report import Adjustment
from orchestrator_core.provider_api.usage import Usage

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
"""Why a choice ended, in OpenAI's words."""


@dataclass(slots=True)
class ChatEvent:
    """An event of an answer.

    Attributes:
        choice: The index of the alternative that this belongs to.
        provider_metadata: What only the provider reads, kept with what the event builds: with the part; of a `Finish`
            with the choice; of `Start` and `UsageReport` with the answer. Under the name of a protocol, such as
            `OPENAI_CHAT`, are fields of that protocol's own, which its clients get in their place.
        native: The upstream event as it came.
    """

    choice: int = 0
    provider_metadata: ProviderMetadata | None = None
    native: NativeEvent | None = None


@dataclass(slots=True)
class Start(ChatEvent):
    """The upstream accepted the call. Always the first event.

    Attributes:
        id: The provider's id of the answer.
        model: The model that answers, as the provider names it.
        created: Seconds since the epoch, as the provider says.
        adjustments: What of the request was mapped, downgraded or dropped.
    """

    id: str | None = None
    model: str | None = None
    created: int | None = None
    adjustments: Sequence[Adjustment] = ()


@dataclass(slots=True)
class TextDelta(ChatEvent):
    """A piece of the answer's text."""

    text: str = ""
    block: int | str | None = None


@dataclass(slots=True)
class ReasoningDelta(ChatEvent):
    """A piece of what the model thinks; empty text with metadata where the thought is encrypted."""

    text: str = ""
    block: int | str | None = None


@dataclass(slots=True)
class RefusalDelta(ChatEvent):
    """A piece of what the model says as it refuses."""

    text: str = ""


@dataclass(slots=True)
class ToolCallDelta(ChatEvent):
    """A piece of a tool call, or a whole one.

    Attributes:
        index: Which call of the choice, from 0.
        id: The call's id, in its first delta. The provider makes one where the vendor gives none.
        name: The function, in the first delta.
        arguments: A fragment of JSON text.
    """

    index: int = 0
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(slots=True)
class WholePart(ChatEvent):
    """A part that comes in one piece: an image, a file, or something opaque."""

    part: ImagePart | FilePart | OpaquePart | None = None


@dataclass(slots=True)
class Logprobs(ChatEvent):
    """How likely the tokens of the answer were; what follows adds to what was before.

    Attributes:
        content: Tokens of the text, each an object with `token`, `logprob`, `bytes` and `top_logprobs` (OpenAI's API
            reference, Chat Completions, `choices[].logprobs.content`).
        refusal: The same of a refusal.
    """

    content: Sequence[Json] = ()
    refusal: Sequence[Json] = ()


@dataclass(slots=True)
class UsageReport(ChatEvent):
    """What the answer used so far. The last one counts, so a provider reports totals."""

    usage: Usage | None = None


@dataclass(slots=True)
class Finish(ChatEvent):
    """A choice is complete.

    Attributes:
        reason: Why, in OpenAI's words.
        native_reason: Why, in the provider's own word.
    """

    reason: FinishReason = "stop"
    native_reason: str | None = None


@dataclass(slots=True)
class NativeOnly(ChatEvent):
    """An upstream event with nothing canonical in it, or with text that nobody takes apart; it carries `native`.

    Attributes:
        text_bytes: The bytes of such text, for an estimate of the tokens where the provider never says what it used.
    """

    text_bytes: int = 0


ChatEvents: TypeAlias = AsyncGenerator[ChatEvent | Sequence[ChatEvent], None]
"""What `chat` gives: events, each by itself, or in a list or a tuple with those that came with it."""


async def one_by_one(events: AsyncGenerator[ChatEvent | Iterable[ChatEvent], None]) -> AsyncGenerator[ChatEvent, None]:
    """Yield the events of a `chat` each by itself; closing this closes them.

    For a provider that looks at the events of the class that it derives from.
    """
    async with aclosing(events):
        async for given in events:
            if isinstance(given, ChatEvent):
                yield given
            else:
                for event in given:
                    yield event

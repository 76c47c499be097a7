"""The events of an answer to OpenAI's `chat.completion.chunk` (API reference, Chat Completions, streaming)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ChatEvent,
    ChatResponse,
    Choice,
    FilePart,
    Finish,
    ImagePart,
    Json,
    Logprobs,
    Message,
    NativeEvent,
    OpaquePart,
    ProviderMetadata,
    ReasoningDelta,
    ReasoningPart,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    WholePart,
)
from orchestrator_core.server.translate.native import native_json
from orchestrator_core.server.translate.openai_notes import noted_fields, others
from orchestrator_core.server.translate.openai_response import encode, media, reasoning_detail, usage

DONE = b"[DONE]"
"""The data of the event that ends a stream."""

_EMPTY: Final[Mapping[str, Json]] = {}
_NOTHING: Final = Choice(0, Message(role="assistant", parts=()))


class ChunkWriter:
    """Turns events into the data of server-sent events.

    An upstream event of the same dialect goes through as it came; the events that were read from it are passed over.
    """

    def __init__(
        self,
        *,
        model: str,
        request_id: str,
        include_usage: bool,
        folded: Callable[[], ChatResponse] = lambda: ChatResponse(choices=()),
    ) -> None:
        """Start a stream.

        Args:
            model: The model that was asked, for providers that do not say which one answers.
            request_id: The gateway's id of the request, for providers that give no id.
            include_usage: Whether the client asked for the usage, which then comes in a last chunk.
            folded: Gives the answer so far. What its provider noted on it is written with the end of each choice.
        """
        self._folded = folded
        self._noted = False
        self._include_usage = include_usage
        self._frame: dict[str, Json] = {
            "id": f"chatcmpl-{request_id}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self._native = False
        self._usage: Usage | None = None
        self._choices: dict[int, _ChoiceState] = {}

    def add(self, event: ChatEvent) -> Iterable[bytes]:
        """Return the chunks that an event makes: none, one or two, or all those that came together."""
        native = event.native
        if native is not None and native.dialect == OPENAI_CHAT:
            self._native = True
            if self._include_usage or not _only_usage(event, native):
                return (native.data, *native.more)
            return ()
        return () if self._native else self._translate(event)

    def end(self) -> Iterator[bytes]:
        """Yield what ends a stream that is complete: the usage where it was asked for, and the last mark."""
        if self._include_usage and self._usage is not None and not self._native:
            about = others(self._folded().provider_metadata) if self._noted else {}
            yield encode({**about, **self._frame, "choices": [], "usage": usage(self._usage)})
        yield DONE

    def _translate(self, event: ChatEvent) -> Iterator[bytes]:
        self._noted = self._noted or event.provider_metadata is not None or isinstance(event, WholePart)
        if isinstance(event, Start):
            self._begin(event)
            return
        if isinstance(event, UsageReport):
            self._usage = event.usage or self._usage
            return
        finish = event.reason if isinstance(event, Finish) else None
        delta, logprobs = self._delta(event), _logprobs(event)
        if delta is None and finish is None and logprobs is None:
            return
        state = self._state(event.choice)
        if not state.begun:
            state.begun = True
            yield self._chunk(event.choice, {"role": "assistant", "content": "", "refusal": None})
        if finish is None:
            yield self._chunk(event.choice, delta or {}, logprobs=logprobs)
        else:
            yield self._end_of_choice(event.choice, delta or {}, finish)

    def _end_of_choice(self, index: int, delta: dict[str, Json], finish: str) -> bytes:
        """Write the last chunk of a choice, with what its provider noted on it and on the answer."""
        if not self._noted:
            return self._chunk(index, delta, finish)
        answer = self._folded()
        ended = next((each for each in answer.choices if each.index == index), None) or _NOTHING
        notes = noted_fields(ended.message.parts, streamed=True)
        return self._chunk(
            index,
            {**delta, **notes},
            finish,
            about=others(ended.provider_metadata),
            top=others(answer.provider_metadata),
        )

    def _begin(self, start: Start) -> None:
        self._frame["id"] = start.id or self._frame["id"]
        self._frame["created"] = start.created or self._frame["created"]
        self._frame["model"] = start.model or self._frame["model"]

    def _delta(self, event: ChatEvent) -> dict[str, Json] | None:
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text) if text:
                return {"content" if isinstance(event, TextDelta) else "refusal": text}
            case ReasoningDelta():
                return self._reasoning(event)
            case ToolCallDelta():
                return {"tool_calls": [self._call(event)]}
            case WholePart(part=part) if part is not None:
                return self._media(event.choice, part) or None
            case Finish():
                return self._state(event.choice).missing_arguments()
        return None

    def _media(self, choice: int, part: ImagePart | FilePart | OpaquePart) -> dict[str, Json]:
        state = self._state(choice)
        written = media((part,), state.images, state.files)
        state.images += isinstance(part, ImagePart)
        state.files += isinstance(part, FilePart)
        return written

    def _reasoning(self, event: ReasoningDelta) -> dict[str, Json] | None:
        delta: dict[str, Json] = {}
        index = self._state(event.choice).thought(event.block)
        if event.text:
            delta["reasoning_content"] = event.text
        if event.provider_metadata:
            news = self._state(event.choice).unsaid(index, event.provider_metadata)
            delta["reasoning_details"] = [
                reasoning_detail(ReasoningPart(text=event.text, provider_metadata=news), index)
            ]
        return delta or None

    def _call(self, event: ToolCallDelta) -> dict[str, Json]:
        state = self._state(event.choice)
        first = event.index not in state.calls
        call: dict[str, Json] = {"index": state.calls.setdefault(event.index, len(state.calls))}
        if first and any(noted.get("type") == "custom" for noted in (event.provider_metadata or {}).values()):
            state.custom.add(call["index"])
        kind = "custom" if call["index"] in state.custom else "function"
        if event.arguments or kind == "custom":
            state.argued.add(call["index"])
        inner: dict[str, Json] = {"input" if kind == "custom" else "arguments": event.arguments}
        if first:
            call |= {"id": event.id, "type": kind}
            inner["name"] = event.name
        call[kind] = inner
        if event.provider_metadata:
            call["extra_content"] = event.provider_metadata
        return call

    def _state(self, choice: int) -> _ChoiceState:
        state = self._choices.get(choice)
        if state is None:
            state = self._choices[choice] = _ChoiceState()
        return state

    def _chunk(
        self,
        index: int,
        delta: dict[str, Json],
        finish: str | None = None,
        *,
        logprobs: Json = None,
        about: Mapping[str, Json] = _EMPTY,
        top: Mapping[str, Json] = _EMPTY,
    ) -> bytes:
        choice = {**about, "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        chunk = {**top, **self._frame, "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return encode(chunk)


class _ChoiceState:
    """What has been written of one alternative."""

    __slots__ = ("_noted", "_thoughts", "argued", "begun", "calls", "custom", "files", "images")

    def __init__(self) -> None:
        self.begun = False
        self.images = self.files = 0
        self.calls: dict[int, int] = {}
        self.argued: set[int] = set()
        self.custom: set[int] = set()
        self._thoughts: dict[int | str | None, int] = {}
        self._noted: dict[int, dict[tuple[str, str], Json]] = {}

    def thought(self, block: int | str | None) -> int:
        """Return the index of a block of reasoning, from 0 without gaps."""
        return self._thoughts.setdefault(block, len(self._thoughts))

    def unsaid(self, thought: int, metadata: ProviderMetadata) -> ProviderMetadata | None:
        """Return the notes on a thought that were not written yet: clients join the pieces, texts and numbers too."""
        said = self._noted.setdefault(thought, {})
        news = {
            provider: {name: value for name, value in noted.items() if said.get((provider, name)) != value}
            for provider, noted in metadata.items()
        }
        said.update({(provider, name): value for provider, noted in news.items() for name, value in noted.items()})
        return {provider: noted for provider, noted in news.items() if noted} or None

    def missing_arguments(self) -> dict[str, Json] | None:
        """Return the delta that gives empty objects to calls without arguments, since clients parse them."""
        bare = [index for index in self.calls.values() if index not in self.argued]
        return {"tool_calls": [{"index": index, "function": {"arguments": "{}"}} for index in bare]} if bare else None


def _logprobs(event: ChatEvent) -> dict[str, Json] | None:
    if not isinstance(event, Logprobs):
        return None
    return {"content": list(event.content) or None, "refusal": list(event.refusal) or None}


def _only_usage(event: ChatEvent, native: NativeEvent) -> bool:
    """Whether an upstream chunk is the one of `include_usage`, which the gateway asks for anyway."""
    if not isinstance(event, UsageReport):
        return False
    chunk = native_json(native)
    return isinstance(chunk, dict) and not chunk.get("choices")

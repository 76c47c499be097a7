"""The events of a streamed response, read into canonical ones.

Source: https://platform.openai.com/docs/api-reference/responses-streaming, as of November 2026. There is no `[DONE]`:
the last event holds the response. Kinds that are not known are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from orchestrator_core.openai_compatible.errors import error_in_answer
from orchestrator_core.provider_api import (
    ChatEvent,
    Json,
    ProviderBadResponse,
    ReasoningDelta,
    RefusalDelta,
    ServerSentEvent,
    TextDelta,
    ToolCallDelta,
)
from orchestrator_openai.responses_answer import PARAGRAPH, WRONG_SHAPE, ResponseReader, parse_object

_Wire = Mapping[str, Json]


def _text(reader: ResponseReader, event: _Wire) -> list[ChatEvent]:
    return reader.piece(event["output_index"], TextDelta, event["delta"], event.get("content_index") or 0)


def _refusal(reader: ResponseReader, event: _Wire) -> list[ChatEvent]:
    return reader.piece(event["output_index"], RefusalDelta, event["delta"], event.get("content_index") or 0)


def _thought(reader: ResponseReader, event: _Wire) -> list[ChatEvent]:
    return reader.piece(event["output_index"], ReasoningDelta, event["delta"])


def _paragraph(reader: ResponseReader, event: _Wire) -> list[ChatEvent]:
    return reader.piece(event["output_index"], ReasoningDelta, PARAGRAPH) if event.get("summary_index") else []


def _arguments(reader: ResponseReader, event: _Wire) -> list[ChatEvent]:
    return reader.piece(event["output_index"], ToolCallDelta, event["delta"])


def _end(reader: ResponseReader, event: _Wire) -> list[ChatEvent]:
    return reader.end(event["response"])


_EVENTS: Final[Mapping[str, Callable[[ResponseReader, _Wire], list[ChatEvent]]]] = {
    "response.created": lambda reader, event: reader.start(event["response"]),
    "response.output_item.added": lambda reader, event: reader.call(event["output_index"], event["item"]),
    "response.output_item.done": lambda reader, event: reader.item(event["output_index"], event["item"]),
    "response.output_text.delta": _text,
    "response.refusal.delta": _refusal,
    "response.reasoning_summary_part.added": _paragraph,
    "response.reasoning_summary_text.delta": _thought,
    "response.reasoning_text.delta": _thought,
    "response.function_call_arguments.delta": _arguments,
    "response.custom_tool_call_input.delta": _arguments,
    "response.completed": _end,
    "response.incomplete": _end,
    "response.failed": _end,
}


class ResponseStreamReader(ResponseReader):
    """Reads a response as it is streamed."""

    def chunk(self, data: bytes, event: str | None = None) -> list[ChatEvent]:
        """Return the events of one server-sent event.

        Args:
            data: Its data, JSON.
            event: Its name, where it has one.

        Raises:
            ProviderError: It is an error, mapped to the tree, or has the wrong shape.
        """
        wire = parse_object(data)
        kind = wire.get("type") or event
        if kind == "error" or (wire.get("error") and kind not in _EVENTS):
            raise error_in_answer(wire, streamed=True)
        read = _EVENTS.get(str(kind))
        if read is None:
            return []
        try:
            started = [] if self.started else self.start(wire.get("response") or {})
            return started + read(self, wire)
        except (AttributeError, TypeError, KeyError) as error:  # as for a whole answer
            raise ProviderBadResponse(WRONG_SHAPE) from error

    def skims(self, event: ServerSentEvent) -> int | None:
        """Return None: no client speaks this dialect."""
        del event
        return None

    def complete(self, *, closed: bool) -> bool:
        """Say whether the answer has its end.

        Args:
            closed: Whether the provider said that nothing more comes, which here is no end by itself.
        """
        del closed
        return self.ended

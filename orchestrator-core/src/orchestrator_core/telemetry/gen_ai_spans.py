"""Spans of calls to models, by OpenTelemetry's conventions for generative AI.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.provider_api import (
    ChatRequest,
    ChatResponse,
    EmbeddingRequest,
    Message,
    Part,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
)
from orchestrator_core.provider_api.messages import ReasoningPart
from orchestrator_core.telemetry import traces
from orchestrator_core.telemetry.metrics import OPERATIONS
from orchestrator_core.telemetry.traces import Recorder, Span

MAX_CONTENT: Final = 64 * 1024
"""Characters of a conversation, and of an answer, that a span holds."""


def begin_call(
    recorder: Recorder, operation: str, provider: str, gen_ai_provider: str, request: ChatRequest | EmbeddingRequest
) -> Span:
    """Begin the span of a try at a provider.

    Args:
        recorder: Records it.
        operation: `chat`, `embeddings` or `summarize`.
        provider: The provider instance.
        gen_ai_provider: Its name in the conventions.
        request: What is asked.
    """
    name, parent = OPERATIONS.get(operation, operation), traces.current_span()
    span = recorder.begin(f"{name} {REDACTOR.redact(request.model)}", "client", parent)
    if not span.recorded:
        return span
    span.set("gen_ai.operation.name", name)
    span.set("gen_ai.provider.name", gen_ai_provider)
    span.set("gen_ai.request.model", REDACTOR.redact(request.model))
    span.set("gen_ai.conversation.id", parent.conversation)
    span.set("orchestrator.provider", provider)
    span.set("orchestrator.operation", operation)
    if isinstance(request, EmbeddingRequest):
        span.set("gen_ai.embeddings.dimension.count", request.dimensions)
        return span
    span.set("gen_ai.request.stream", request.stream)
    span.set("gen_ai.request.max_tokens", request.max_tokens)
    span.set("gen_ai.request.temperature", request.temperature)
    span.set("gen_ai.request.top_p", request.top_p)
    span.set("gen_ai.request.seed", request.seed)
    span.set("gen_ai.request.choice.count", request.n if request.n != 1 else None)
    span.set("gen_ai.request.presence_penalty", request.presence_penalty)
    span.set("gen_ai.request.frequency_penalty", request.frequency_penalty)
    if recorder.keeps_content:
        span.set("gen_ai.input.messages", _text(_message(message) for message in request.messages))
    return span


def end_chat(
    span: Span, response: ChatResponse, first_chunk: float | None, cost: float | None, code: str | None
) -> None:
    """End the span of a call that was opened.

    Args:
        span: The span.
        response: The answer, or what came of it.
        first_chunk: The seconds until its first content, where it was streamed.
        cost: USD, where they are known.
        code: The code of the error that ended it; None where it is whole.
    """
    recorder = traces.recording()
    if recorder is not None and span.recorded:
        span.set("gen_ai.response.id", response.id)
        span.set("gen_ai.response.model", response.model)
        span.set("gen_ai.response.finish_reasons", [choice.finish_reason or "error" for choice in response.choices])
        span.set("gen_ai.response.time_to_first_chunk", first_chunk)
        _set_usage(span, response.usage, cost)
        if recorder.keeps_content:
            answers = (
                _message(choice.message) | {"finish_reason": choice.finish_reason or "error"}
                for choice in response.choices
            )
            span.set("gen_ai.output.messages", _text(answers))
    span.end(code)


def end_embeddings(span: Span, model: str, usage: Usage | None, cost: float | None) -> None:
    """End the span of a call for vectors that was answered.

    Args:
        span: The span.
        model: The model that answered.
        usage: The tokens, where they are known.
        cost: USD, where they are known.
    """
    if span.recorded:
        span.set("gen_ai.response.model", model)
        _set_usage(span, usage, cost)
    span.end()


def _set_usage(span: Span, usage: Usage | None, cost: float | None) -> None:
    if usage is not None:
        span.set("gen_ai.usage.input_tokens", usage.total_input)
        span.set("gen_ai.usage.output_tokens", usage.total_output)
        span.set("gen_ai.usage.cache_read.input_tokens", usage.cached_input_tokens or None)
        span.set("gen_ai.usage.cache_creation.input_tokens", usage.cache_write_tokens or None)
        span.set("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens or None)
    span.set("orchestrator.cost_usd", cost)


def _text(messages: Iterable[Mapping[str, Any]]) -> str:
    return REDACTOR.redact(json.dumps(list(messages), ensure_ascii=False))[:MAX_CONTENT]


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": [_part(part) for part in message.parts]}


def _part(part: Part) -> Mapping[str, Any]:
    """Return a part as the conventions have it; what is neither text nor a tool is named and left out."""
    if isinstance(part, TextPart | RefusalPart):
        return {"type": "text", "content": part.text}
    if isinstance(part, ReasoningPart):
        return {"type": "reasoning", "content": part.text}
    if isinstance(part, ToolCallPart):
        return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": part.arguments}
    if isinstance(part, ToolResultPart):
        return {"type": "tool_call_response", "id": part.tool_call_id, "response": _result(part.content)}
    return {"type": part.type}


def _result(content: str | Sequence[Part]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, TextPart))

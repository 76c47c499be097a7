"""A canonical answer to Anthropic's `message` (API reference, Messages).

Fields that are not Anthropic's: `extra_content`, with what only the provider of the answer can read, so that a client
that keeps the history gives it back; blocks of the types `image` and `document`, for media that a model made; and
`logprobs` in OpenAI's form.
"""

from __future__ import annotations

from collections.abc import Iterator

import jiter

from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    ChatResponse,
    FilePart,
    FinishReason,
    ImagePart,
    Json,
    OpaquePart,
    Part,
    ProviderMetadata,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    Usage,
)
from orchestrator_core.server.translate.anthropic_marks import opaque_block, signature
from orchestrator_core.server.translate.openai_notes import merged, others

_STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_OWN_REASONS = frozenset(
    (*_STOP_REASONS.values(), "stop_sequence", "pause_turn", "model_context_window_exceeded"),
)


def message_body(response: ChatResponse, *, model: str, request_id: str) -> dict[str, Json]:
    """Write an answer as a `message`. Of several alternatives it is the first.

    Args:
        response: The answer.
        model: The model that was asked, for providers that do not say which one answered.
        request_id: The gateway's id of the request, for providers that give no id.
    """
    choice = response.choices[0]
    refusal = "".join(part.text for part in choice.message.parts if isinstance(part, RefusalPart))
    said = about(merged(response.provider_metadata, choice.provider_metadata), choice.logprobs)
    return {
        **said,
        **message_head(response.id, response.model or model, request_id),
        "content": [block for part in choice.message.parts for block in _blocks(part)],
        **ending(choice.finish_reason, choice.native_finish_reason, refusal, said.get("stop_sequence")),
        "usage": usage(response.usage),
    }


def about(metadata: ProviderMetadata, logprobs: Json) -> dict[str, Json]:
    """Write what the provider said of the answer beside it: the dialect's own fields, and others apart."""
    return {**others(metadata, ANTHROPIC_MESSAGES), **({"logprobs": logprobs} if logprobs else {})}


def message_head(identity: str | None, model: str, request_id: str) -> dict[str, Json]:
    """Write what a message begins with."""
    return {"id": identity or f"msg_{request_id}", "type": "message", "role": "assistant", "model": model}


def ending(reason: FinishReason | None, native: str | None, refusal: str, sequence: Json = None) -> dict[str, Json]:
    """Write why an answer ended.

    Args:
        reason: Why.
        native: Why in the provider's own word, which is kept where it is one of this dialect.
        refusal: What the model said as it refused.
        sequence: Which of the client's texts the model stopped at, where the provider says so.
    """
    stop: str | None = None
    if reason is not None:
        stop = native if native in _OWN_REASONS else _STOP_REASONS[reason]
    if refusal and stop == "end_turn":
        stop = "refusal"
    body: dict[str, Json] = {"stop_reason": stop, "stop_sequence": sequence}
    if refusal:
        body["stop_details"] = {"type": "refusal", "category": None, "explanation": refusal}
    return body


def usage(used: Usage | None) -> dict[str, Json]:
    """Write usage in Anthropic's buckets. Clients of the dialect need numbers: what is not known is 0."""
    used = used or Usage()
    body: dict[str, Json] = {
        "input_tokens": used.input_tokens,
        "cache_creation_input_tokens": used.cache_write_tokens,
        "cache_read_input_tokens": used.cached_input_tokens,
        "output_tokens": used.total_output,
    }
    if used.reasoning_tokens:
        body["output_tokens_details"] = {"thinking_tokens": used.reasoning_tokens}
    return body


def text_block(text: str, metadata: ProviderMetadata | None = None) -> dict[str, Json]:
    """Write text."""
    return _noted({"type": "text", "text": text}, metadata)


def tool_use_block(identity: str, name: str, given: Json, metadata: ProviderMetadata | None) -> dict[str, Json]:
    """Write a call of a tool."""
    return _noted({"type": "tool_use", "id": identity, "name": name, "input": given}, metadata)


def media_block(part: ImagePart | FilePart) -> dict[str, Json]:
    """Write an image or a file, in the form in which a user's message would hold it."""
    source: dict[str, Json]
    if part.data is not None:
        default = "image/png" if isinstance(part, ImagePart) else "application/octet-stream"
        source = {"type": "base64", "media_type": part.media_type or default, "data": part.data}
    elif isinstance(part, FilePart) and part.file_id is not None:
        source = {"type": "file", "file_id": part.file_id}
    else:
        source = {"type": "url", "url": part.url}
    if isinstance(part, ImagePart):
        return _noted({"type": "image", "source": source}, part.provider_metadata)
    title = {"title": part.filename} if part.filename else {}
    return _noted({"type": "document", "source": source, **title}, part.provider_metadata)


def _blocks(part: Part) -> Iterator[dict[str, Json]]:
    metadata = part.provider_metadata
    match part:
        case TextPart(text=text) | RefusalPart(text=text):
            yield text_block(text, metadata)
        case ReasoningPart(text=text):
            if text or not metadata:
                yield {"type": "thinking", "thinking": text, "signature": signature(metadata)}
            else:
                yield opaque_block("reasoning", metadata)
        case ToolCallPart():
            yield tool_use_block(part.id, part.name, _input(part.arguments), metadata)
        case ImagePart() | FilePart():
            yield media_block(part)
        case OpaquePart() if metadata:
            yield opaque_block("opaque", metadata)


def _input(arguments: str) -> Json:
    """Return arguments as the object that the dialect wants; of those that were cut off, what is there."""
    if not arguments.strip():
        return {}
    try:
        given = jiter.from_json(arguments.encode("utf-8", "replace"), partial_mode="trailing-strings")
    except ValueError:
        given = None
    return given if isinstance(given, dict) else {"unparsed": arguments}


def _noted(block: dict[str, Json], metadata: ProviderMetadata | None) -> dict[str, Json]:
    """Add the notes on a part: the dialect's own as fields of the block, others apart."""
    if not metadata:
        return block
    own = metadata.get(ANTHROPIC_MESSAGES, {})
    others = {provider: notes for provider, notes in metadata.items() if provider != ANTHROPIC_MESSAGES}
    return {**block, **own, **({"extra_content": others} if others else {})}

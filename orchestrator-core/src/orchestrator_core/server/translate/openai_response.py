"""A canonical answer to OpenAI's `chat.completion` (API reference, Chat Completions).

Some fields are not OpenAI's: `reasoning_content`, as DeepSeek's API names it; `reasoning_details` and `extra_content`,
which carry what only the provider can read, so that a client that keeps the history can give it back (of a message: see
`openai_notes`); and `images` and `files`, for media that a model made.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from orchestrator_core.provider_api import (
    ChatResponse,
    Choice,
    FilePart,
    ImagePart,
    Json,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    Usage,
)
from orchestrator_core.server.json_answer import dumps
from orchestrator_core.server.translate.openai_notes import noted_fields, others


def completion(response: ChatResponse, *, model: str, request_id: str) -> dict[str, Json]:
    """Write an answer as a `chat.completion`.

    Args:
        response: The answer.
        model: The model that was asked, for providers that do not say which one answered.
        request_id: The gateway's id of the request, for providers that give no id.
    """
    body: dict[str, Json] = {
        "id": response.id or f"chatcmpl-{request_id}",
        "object": "chat.completion",
        "created": response.created or int(time.time()),
        "model": response.model or model,
        "choices": [_choice(choice) for choice in response.choices],
    }
    if response.usage is not None:
        body["usage"] = usage(response.usage)
    return {**others(response.provider_metadata), **body}


def encode(body: Json) -> bytes:
    """Write JSON in UTF-8. Halves of surrogate pairs, which a model may be cut off in, have no place there."""
    return dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def message_object(message: Message) -> dict[str, Json]:
    """Write an assistant's message, with `content` null where there is no text."""
    text = [part.text for part in message.parts if isinstance(part, TextPart)]
    refusal = [part.text for part in message.parts if isinstance(part, RefusalPart)]
    reasoning = [part for part in message.parts if isinstance(part, ReasoningPart)]
    calls = message.tool_calls
    body: dict[str, Json] = {
        "role": "assistant",
        "content": "".join(text) if text or not (refusal or calls) else None,
        "refusal": "".join(refusal) if refusal else None,
    }
    if thought := "".join(part.text for part in reasoning):
        body["reasoning_content"] = thought
    if any(part.provider_metadata for part in reasoning):
        body["reasoning_details"] = [reasoning_detail(part, index) for index, part in enumerate(reasoning)]
    if calls:
        body["tool_calls"] = [tool_call(call) for call in calls]
    body.update(media(message.parts))
    body.update(noted_fields(message.parts))
    return body


def tool_call(call: ToolCallPart) -> dict[str, Json]:
    """Write a call; empty arguments are an empty object, since clients parse them."""
    body: dict[str, Json] = {"id": call.id, "type": "function"}
    if call.is_custom:
        body |= {"type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    else:
        body["function"] = {"name": call.name, "arguments": call.arguments or "{}"}
    if call.provider_metadata:
        body["extra_content"] = call.provider_metadata
    return body


def reasoning_detail(part: ReasoningPart, index: int) -> dict[str, Json]:
    """Write a thought with what only its provider can read, such as a signature."""
    detail: dict[str, Json] = {"type": "reasoning.text", "index": index, "text": part.text}
    if part.provider_metadata:
        detail["extra_content"] = part.provider_metadata
    return detail


def media(parts: Sequence[Part], images_before: int = 0, files_before: int = 0) -> dict[str, Json]:
    """Write the images and files of an answer, in the form in which a user's message would hold them.

    Args:
        parts: The parts of the answer, or the next ones of a stream.
        images_before: How many images a stream had before.
        files_before: The same of files.
    """
    body: dict[str, Json] = {}
    if images := [part for part in parts if isinstance(part, ImagePart)]:
        body["images"] = [
            {
                "type": "image_url",
                "index": index,
                "image_url": {"url": part.url or _data_url(part, "image/png")},
            }
            for index, part in enumerate(images, images_before)
        ]
    if files := [part for part in parts if isinstance(part, FilePart)]:
        body["files"] = [
            {"type": "file", "index": index, "file": _file(part)} for index, part in enumerate(files, files_before)
        ]
    return body


def usage(used: Usage) -> dict[str, Json]:
    """Write usage in OpenAI's sums: cached input is part of the prompt, reasoning of the completion."""
    prompt: dict[str, Json] = {"cached_tokens": used.cached_input_tokens}
    if used.cache_write_tokens:
        prompt["cache_write_tokens"] = used.cache_write_tokens
    return {
        "prompt_tokens": used.total_input,
        "completion_tokens": used.total_output,
        "total_tokens": used.total,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
    }


def _choice(choice: Choice) -> Mapping[str, Json]:
    return {
        **others(choice.provider_metadata),
        "index": choice.index,
        "message": message_object(choice.message),
        "logprobs": choice.logprobs,
        "finish_reason": choice.finish_reason,
    }


def _file(part: FilePart) -> dict[str, Json]:
    file: dict[str, Json] = {
        "filename": part.filename,
        "file_data": _data_url(part, "application/octet-stream") if part.data is not None else None,
        "file_id": part.file_id,
        "url": part.url,
    }
    return {key: value for key, value in file.items() if value is not None}


def _data_url(part: ImagePart | FilePart, media_type: str) -> str:
    return f"data:{part.media_type or media_type};base64,{part.data or ''}"

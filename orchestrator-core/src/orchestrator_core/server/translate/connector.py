"""The bodies of the connectors, `/api/v1/{provider}`: OpenAI's on the way in, a flat object on the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ChatResponse,
    Choice,
    EmbeddingResponse,
    Json,
    ModelInfo,
    Usage,
)
from orchestrator_core.server.translate.native import native_json
from orchestrator_core.server.translate.openai_notes import merged, others
from orchestrator_core.server.translate.openai_response import message_object, usage

_ANSWER = frozenset(("id", "object", "model", "choices", "usage"))
_CHOICE = frozenset(("index", "message", "finish_reason", "extra_content", "usage"))
"""Fields of OpenAI's objects that have a place of their own."""


def openai_body(body: Mapping[str, Json]) -> dict[str, Json]:
    """Return a chat body without the `model` of messages that a connector had answered with."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return dict(body)
    return {**body, "messages": [_without_model(message) for message in messages]}


def chat_answer(response: ChatResponse, *, model: str) -> dict[str, Json]:
    """Write an answer; further alternatives stand in `choices`.

    What an upstream of OpenAI's dialect said in fields that are not named here is kept: of a message in the message, of
    the only choice and of the answer in the answer itself.

    Args:
        response: The answer.
        model: The model that was asked, for providers that do not say which one answered.
    """
    upstream = _upstream(response)
    said = enumerate(upstream.get("choices") or ())
    theirs = {
        index: choice
        for place, choice in said
        if isinstance(choice, Mapping) and isinstance(index := choice.get("index", place), int)
    }
    choices = [_choice(choice, theirs.get(choice.index, {}), response.model or model) for choice in response.choices]
    body: dict[str, Json] = {
        "success": True,
        "message": choices[0]["message"],
        "usage": _usage(response.usage, upstream.get("usage") or {}),
        "finish_reason": choices[0]["finish_reason"],
        "id": response.id,
    }
    if len(choices) > 1:
        body["choices"] = choices
    about = others(merged(response.provider_metadata, response.choices[0].provider_metadata))
    more = {**_unnamed(upstream, _ANSWER), **about, **_unnamed(choices[0], _CHOICE)}
    return {**more, **body}


def embeddings_answer(response: EmbeddingResponse, *, model: str) -> dict[str, Json]:
    """Write vectors; `model` is what was asked, for providers that do not say which one answered."""
    tokens = None if response.usage is None else response.usage.total_input
    return {
        "success": True,
        "embeddings": response.vectors,
        "model": response.model or model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def models_answer(models: Sequence[ModelInfo]) -> dict[str, Json]:
    """Write a provider's models, each with a description in words where it has none of its own."""
    return {"success": True, "models": [_model(model) for model in models]}


def _upstream(response: ChatResponse) -> Mapping[str, Json]:
    """Return the upstream's own body where it is of OpenAI's dialect."""
    native = response.native
    if native is None or native.dialect != OPENAI_CHAT:
        return {}
    body = native_json(native)
    return body if isinstance(body, dict) else {}


def _choice(choice: Choice, theirs: Mapping[str, Json], model: str) -> dict[str, Json]:
    message = {**(theirs.get("message") or {}), **message_object(choice.message), "model": model}
    body = {"index": choice.index, "message": message, "finish_reason": choice.finish_reason}
    if choice.logprobs is not None:
        body["logprobs"] = choice.logprobs
    return {**_unnamed(theirs, _CHOICE), **others(choice.provider_metadata), **body}


def _unnamed(fields: Mapping[str, Json], named: frozenset[str]) -> dict[str, Json]:
    return {name: value for name, value in fields.items() if name not in named}


def _usage(used: Usage | None, theirs: Mapping[str, Json]) -> dict[str, Json]:
    """Write usage; what the provider did not count is null, never 0."""
    if used is None:
        return {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}
    ours = usage(used)
    for name, value in ours.items():
        if isinstance(value, dict) and isinstance(theirs.get(name), dict):
            ours[name] = {**theirs[name], **value}
    return {**theirs, **ours}


def _model(model: ModelInfo) -> dict[str, Json]:
    body = model.model_dump(mode="json", exclude_none=True)
    return {**body, "description": model.description or model.id}


def _without_model(message: Json) -> Json:
    if isinstance(message, dict) and "model" in message:
        return {key: value for key, value in message.items() if key != "model"}
    return message

"""The bodies of the connectors, `/api/v1/{provider}`: OpenAI's on the way in, a flat object on the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator_core.provider_api import ChatResponse, EmbeddingResponse, Json, ModelInfo, Usage
from orchestrator_core.server.translate.openai_response import message_object, usage


def openai_body(body: Mapping[str, Json]) -> dict[str, Json]:
    """Return a chat body without the `model` of messages that a connector had answered with."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return dict(body)
    return {**body, "messages": [_without_model(message) for message in messages]}


def chat_answer(response: ChatResponse, *, model: str) -> dict[str, Json]:
    """Write an answer; further alternatives stand in `choices`.

    Args:
        response: The answer.
        model: The model that was asked, for providers that do not say which one answered.
    """
    answered = response.model or model
    messages = [{**message_object(choice.message), "model": answered} for choice in response.choices]
    body: dict[str, Json] = {
        "success": True,
        "message": messages[0],
        "usage": _usage(response.usage),
        "finish_reason": response.choices[0].finish_reason,
        "id": response.id,
    }
    if len(messages) > 1:
        body["choices"] = [
            {"index": choice.index, "message": message, "finish_reason": choice.finish_reason}
            for choice, message in zip(response.choices, messages, strict=True)
        ]
    return body


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


def _usage(used: Usage | None) -> dict[str, Json]:
    """Write usage; what the provider did not count is null, never 0."""
    if used is None:
        return {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}
    return usage(used)


def _model(model: ModelInfo) -> dict[str, Json]:
    body = model.model_dump(mode="json", exclude_none=True)
    return {**body, "description": model.description or model.id}


def _without_model(message: Json) -> Json:
    if isinstance(message, dict) and "model" in message:
        return {key: value for key, value in message.items() if key != "model"}
    return message

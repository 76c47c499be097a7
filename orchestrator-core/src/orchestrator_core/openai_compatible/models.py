"""`GET /models` of the OpenAI family."""

from __future__ import annotations

from collections.abc import Mapping

import pydantic_core

from orchestrator_core.provider_api import Json, ModelInfo, ProviderBadResponse

_WINDOWS = ("context_window", "context_length", "max_context_length", "max_model_len")
"""Where Groq, OpenRouter and Moonshot, Mistral, and vLLM say how long the context may be."""


def parse_models(data: bytes) -> list[ModelInfo]:
    """Read a list of models: OpenAI's `{"data": [...]}`, or the bare list of some servers.

    Raises:
        ProviderBadResponse: It is neither.
    """
    try:
        body = pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError:
        raise ProviderBadResponse("The provider's list of models is no JSON.") from None
    rows = body.get("data") if isinstance(body, dict) else body
    if not isinstance(rows, list):
        raise ProviderBadResponse("The provider's list of models has the wrong shape.")
    return [_model(row) for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]


def _model(row: Mapping[str, Json]) -> ModelInfo:
    window = next((row[name] for name in _WINDOWS if type(row.get(name)) is int), None)
    description = row.get("description") or row.get("name")
    return ModelInfo(
        id=row["id"],
        description=description if isinstance(description, str) else None,
        context_window=window,
    )

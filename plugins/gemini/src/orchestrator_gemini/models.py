"""Gemini's models: those that are known without asking, the list that it gives, and what generations differ in.

Any other name is passed on: no list decides what exists. Sources: https://ai.google.dev/gemini-api/docs/models and
/docs/deprecations, as of November 2026; windows as `GET /models` gave them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

import pydantic_core

from orchestrator_core.provider_api import Capability, Json, ModelInfo, ProviderBadResponse

_GENERAL: Final[tuple[Capability, ...]] = (
    "chat",
    "function_calling",
    "vision",
    "reasoning",
    "long_context",
    "code_generation",
    "structured_output",
)
_WINDOW: Final = 1_048_576
_OUTPUT: Final = 65_536
_SUCCESSOR: Final = "gemini-3.8-flash"

MODELS: Final = (
    ModelInfo(id="gemini-4-carbon", capabilities=_GENERAL),
    ModelInfo(id="gemini-3.8-flash", capabilities=_GENERAL),
    ModelInfo(id="gemini-3.5-flash-lite", capabilities=_GENERAL),
    ModelInfo(id="gemini-2.5-pro", capabilities=_GENERAL, context_window=_WINDOW, max_output_tokens=_OUTPUT),
    ModelInfo(id="gemini-2.5-flash", capabilities=_GENERAL, context_window=_WINDOW, max_output_tokens=_OUTPUT),
    ModelInfo(id="gemini-embedding-2", capabilities=("embeddings",)),
    ModelInfo(id="gemini-embedding-001", capabilities=("embeddings",)),
    ModelInfo(id="gemini-2.5-flash-preview-04-17", replacement=_SUCCESSOR),
    ModelInfo(id="gemini-1.5-pro", replacement=_SUCCESSOR),
    ModelInfo(id="gemini-1.5-flash", replacement=_SUCCESSOR),
    ModelInfo(id="gemini-1.5-flash-8b", replacement="gemini-3.5-flash-lite"),
)


def generation(model: str) -> float:
    """Return the generation of a model: 2.5, 3. Names that say none (`gemini-flash-latest`) are of the newest."""
    numbered = re.match(r"(?:models/)?gemini-(\d+(?:\.\d+)?)", model)
    if numbered:
        return float(numbered[1])
    return 0.0 if re.match(r"(?:models/)?(gemma|learnlm)", model) else math.inf


def resource(model: str) -> str:
    """Return the name of a model as a resource: `models/gemini-3.8-flash`."""
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"


def parse_models(data: bytes) -> Sequence[ModelInfo]:
    """Read the answer of `GET /models`.

    Raises:
        ProviderBadResponse: It is something else.
    """
    try:
        rows = pydantic_core.from_json(data)["models"]
        return [_model(row) for row in rows if isinstance(row.get("name"), str)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ProviderBadResponse("The provider's list of models has the wrong shape.") from None


def _model(row: Mapping[str, Json]) -> ModelInfo:
    methods = row.get("supportedGenerationMethods") or ()
    capabilities: list[Capability] = []
    if "generateContent" in methods:
        capabilities.append("chat")
    if row.get("thinking"):
        capabilities.append("reasoning")
    if "embedContent" in methods:
        capabilities.append("embeddings")
    return ModelInfo(
        id=row["name"].removeprefix("models/"),
        description=row.get("description") or row.get("displayName"),
        context_window=row.get("inputTokenLimit"),
        max_output_tokens=row.get("outputTokenLimit"),
        capabilities=tuple(capabilities),
    )

"""Mistral's models that are known without asking. Any other name is passed on: no list decides what exists.

As known in November 2026; the vendor's list is at https://docs.mistral.ai/getting-started/models.
"""

from __future__ import annotations

from typing import Final

from orchestrator_core.provider_api import Capability, ModelInfo

GENERAL: Final[tuple[Capability, ...]] = ("chat", "function_calling", "vision", "structured_output", "code_generation")

MODELS: Final = (
    ModelInfo(id="mistral-large-latest", capabilities=GENERAL),
    ModelInfo(id="mistral-medium-3-5", capabilities=(*GENERAL, "reasoning")),
    ModelInfo(id="mistral-small-latest", capabilities=(*GENERAL, "reasoning")),
    ModelInfo(id="mistral-embed", capabilities=("embeddings",)),
    ModelInfo(id="pixtral-large-latest", replacement="mistral-large-latest"),
)

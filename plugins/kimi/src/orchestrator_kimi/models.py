"""Moonshot's models that are known without asking. Any other name is passed on: no list decides what exists.

As known in November 2026; the vendor's list is at https://platform.kimi.ai/docs/models.
"""

from __future__ import annotations

from typing import Final

from orchestrator_core.provider_api import Capability, ModelInfo

ALL: Final[tuple[Capability, ...]] = (
    "chat",
    "function_calling",
    "vision",
    "reasoning",
    "long_context",
    "code_generation",
    "structured_output",
)

MODELS: Final = (
    ModelInfo(id="kimi-k3", capabilities=ALL),
    ModelInfo(id="kimi-k2.6", capabilities=ALL),
    ModelInfo(id="moonshot-v1-128k", replacement="kimi-k3"),
)

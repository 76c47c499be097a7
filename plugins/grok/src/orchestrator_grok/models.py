"""xAI's models that are known without asking. Any other name is passed on: no list decides what exists.

As known in November 2026; the vendor's list is at https://docs.x.ai/docs/models.
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
    "realtime_data",
)

MODELS: Final = (
    ModelInfo(id="grok-4.7", capabilities=ALL),
    ModelInfo(id="grok-4.3", capabilities=ALL),
    ModelInfo(id="grok-3", replacement="grok-4.3"),
    ModelInfo(id="grok-beta", replacement="grok-4.3"),
)

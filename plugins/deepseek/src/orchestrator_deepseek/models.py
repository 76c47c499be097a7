"""DeepSeek's models that are known without asking. Any other name is passed on: no list decides what exists.

As known in November 2026; the vendor's list is at https://api-docs.deepseek.com/quick_start/pricing.
"""

from __future__ import annotations

from typing import Final

from orchestrator_core.provider_api import Capability, ModelInfo

ALL: Final[tuple[Capability, ...]] = (
    "chat",
    "function_calling",
    "reasoning",
    "long_context",
    "code_generation",
    "structured_output",
)

MODELS: Final = (
    ModelInfo(id="deepseek-flash", capabilities=ALL),
    ModelInfo(id="deepseek-chat", replacement="deepseek-flash"),
    ModelInfo(id="deepseek-coder", replacement="deepseek-flash"),
)

"""Qwen's models that are known without asking, and prices. Any other name is passed on: no list decides what exists.

As known in November 2026; the vendor's list is at https://www.alibabacloud.com/help/en/model-studio/models.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from orchestrator_core.provider_api import Capability, ModelInfo, ModelPrice

ALL: Final[tuple[Capability, ...]] = (
    "chat",
    "function_calling",
    "vision",
    "reasoning",
    "long_context",
    "code_generation",
    "structured_output",
    "chinese_language",
)

MODELS: Final = (
    ModelInfo(id="qwen3.8-flash", capabilities=ALL),
    ModelInfo(id="qwen3.7-plus", capabilities=ALL),
    ModelInfo(id="text-embedding-v4", capabilities=("embeddings",)),
    ModelInfo(id="qwen-max", replacement="qwen3.7-plus"),
    ModelInfo(id="qwen-turbo", replacement="qwen3.8-flash"),
)

# International (Singapore), list prices without promotions. Other regions have other prices: `prices` in the
# gateway's settings goes before these. A model that is not here has no price, since prices that change with the length
# of a call, or that could not be confirmed, are left to the operator.
PRICES: Final = (
    ModelPrice(
        models=r"qwen3\.8-flash(-\d{4}-\d\d-\d\d)?",
        input=0.15,
        cached_input=0.016,
        cache_write=0.20,
        output=0.47,
        source="https://www.alibabacloud.com/help/en/model-studio/qwen3-8-flash",
        as_of=date(2026, 8, 28),
    ),
    ModelPrice(
        models=r"text-embedding-v4",
        input=0.07,
        source="https://www.alibabacloud.com/help/en/model-studio/text-embedding-synchronous-api",
        as_of=date(2026, 3, 24),
    ),
)

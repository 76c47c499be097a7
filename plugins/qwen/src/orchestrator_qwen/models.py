"""Qwen's models that are known without asking, and prices. Any other name is passed on: no list decides what exists.

Source: https://www.alibabacloud.com/help/en/model-studio/models, as of November 2026.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from orchestrator_core.provider_api import Capability, ModelInfo, ModelPrice

_ALL: Final[tuple[Capability, ...]] = (
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
    ModelInfo(id="qwen3.8-flash", context_window=1_000_000, max_output_tokens=131_072, capabilities=_ALL),
    ModelInfo(id="qwen3.7-plus", context_window=1_000_000, capabilities=_ALL),
    ModelInfo(id="text-embedding-v4", capabilities=("embeddings",)),
    ModelInfo(id="qwen-max", replacement="qwen3.7-plus"),
    ModelInfo(id="qwen-turbo", replacement="qwen3.8-flash"),
)

# International (Singapore), list prices without promotions. Other regions have other prices: `prices` in the
# gateway's settings goes before these. A model that is not here has no price.
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
    # Longer calls cost more. Cached input: 20 % of the price, what is written 125 % (.../model-studio/context-cache).
    ModelPrice(
        models=r"qwen3\.7-plus(-\d{4}-\d\d-\d\d)?",
        input=0.40,
        cached_input=0.08,
        cache_write=0.50,
        output=1.60,
        up_to=256_000,
        source="https://www.alibabacloud.com/help/en/model-studio/qwen3-7-plus",
        as_of=date(2026, 6, 3),
    ),
    ModelPrice(
        models=r"text-embedding-v[34]",
        input=0.07,
        source="https://www.alibabacloud.com/help/en/model-studio/text-embedding-synchronous-api",
        as_of=date(2026, 3, 24),
    ),
)

"""OpenAI's models that are known without asking. Any other name is passed on: no list decides what exists.

Source: https://platform.openai.com/docs/models and /docs/deprecations, as of November 2026. Where the vendor names
a month only, the date is its last day.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from orchestrator_core.provider_api import Capability, ModelInfo

_GENERAL: Final[tuple[Capability, ...]] = (
    "chat",
    "function_calling",
    "vision",
    "structured_output",
    "code_generation",
)
_REASONING: Final[tuple[Capability, ...]] = (*_GENERAL, "reasoning", "long_context")

MODELS: Final = (
    ModelInfo(id="gpt-6.1-terra", capabilities=_REASONING),
    ModelInfo(id="gpt-6-luna", capabilities=_REASONING),
    ModelInfo(id="gpt-5.6-luna", capabilities=_REASONING),
    ModelInfo(id="gpt-4o", capabilities=_GENERAL, retired_on=date(2027, 1, 31), replacement="gpt-6-luna"),
    ModelInfo(id="text-embedding-3-small", capabilities=("embeddings",)),
    ModelInfo(id="text-embedding-3-large", capabilities=("embeddings",)),
    ModelInfo(id="text-embedding-ada-002", capabilities=("embeddings",)),
    ModelInfo(id="gpt-3.5-turbo", retired_on=date(2026, 10, 31), replacement="gpt-5.6-luna"),
    ModelInfo(id="gpt-4", retired_on=date(2026, 10, 31), replacement="gpt-6-luna"),
    ModelInfo(id="o1-preview", replacement="gpt-6.1-terra"),
)

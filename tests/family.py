"""The vendors of OpenAI's protocol: each provider with its strict server and a model that thinks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fake_upstreams.strict_deepseek import StrictDeepSeek
from fake_upstreams.strict_family import StrictFamily
from fake_upstreams.strict_grok import StrictGrok
from fake_upstreams.strict_kimi import StrictKimi
from fake_upstreams.strict_mistral import StrictMistral
from fake_upstreams.strict_openai import StrictOpenAI
from fake_upstreams.strict_qwen import StrictQwen
from orchestrator_core.openai_compatible import OpenAICompatibleProvider
from orchestrator_deepseek import DeepSeekProvider
from orchestrator_grok import GrokProvider
from orchestrator_kimi import KimiProvider
from orchestrator_mistral import MistralProvider
from orchestrator_openai import OpenAIProvider
from orchestrator_qwen import QwenProvider


@dataclass(frozen=True)
class Vendor:
    """One of them.

    Attributes:
        provider: The plugin's class.
        strict: The server that refuses what the vendor refuses.
    """

    provider: type[OpenAICompatibleProvider]
    strict: type[StrictFamily]


VENDORS: Mapping[str, Vendor] = {
    "openai": Vendor(OpenAIProvider, StrictOpenAI),
    "mistral": Vendor(MistralProvider, StrictMistral),
    "grok": Vendor(GrokProvider, StrictGrok),
    "qwen": Vendor(QwenProvider, StrictQwen),
    "deepseek": Vendor(DeepSeekProvider, StrictDeepSeek),
    "kimi": Vendor(KimiProvider, StrictKimi),
}

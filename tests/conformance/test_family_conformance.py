"""The vendors that speak OpenAI's protocol pass the kit."""

from __future__ import annotations

from orchestrator_core.testing import ProviderConformance
from orchestrator_deepseek import DeepSeekProvider
from orchestrator_grok import GrokProvider
from orchestrator_kimi import KimiProvider
from orchestrator_mistral import MistralProvider
from orchestrator_qwen import QwenProvider

WORD = "a1B2" * 12


class TestDeepSeek(ProviderConformance):
    provider = DeepSeekProvider
    key = f"sk-{WORD}"


class TestGrok(ProviderConformance):
    provider = GrokProvider
    key = f"xai-{WORD}"


class TestKimi(ProviderConformance):
    provider = KimiProvider
    key = f"sk-{WORD}"


class TestMistral(ProviderConformance):
    provider = MistralProvider
    key = WORD[:32]


class TestQwen(ProviderConformance):
    provider = QwenProvider
    key = f"sk-{WORD}"

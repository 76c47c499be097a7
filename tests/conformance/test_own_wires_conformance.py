"""The vendors that have wires of their own pass the kit."""

from __future__ import annotations

from fake_upstreams.anthropic_kit import AnthropicFake
from fake_upstreams.gemini_kit import GeminiFake
from orchestrator_anthropic import AnthropicProvider
from orchestrator_core.testing import ProviderConformance
from orchestrator_gemini import GeminiProvider


class TestAnthropic(ProviderConformance):
    provider = AnthropicProvider
    upstream = AnthropicFake
    key = "sk-ant-api03-" + "a1B2" * 24


class TestGemini(ProviderConformance):
    provider = GeminiProvider
    upstream = GeminiFake
    key = "AIza" + "a1B2" * 9

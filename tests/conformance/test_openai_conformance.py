"""OpenAI's plugin passes the kit."""

from __future__ import annotations

from orchestrator_core.testing import ProviderConformance
from orchestrator_openai import OpenAIProvider


class TestOpenAI(ProviderConformance):
    provider = OpenAIProvider
    key = "sk-proj-" + "a1B2" * 20

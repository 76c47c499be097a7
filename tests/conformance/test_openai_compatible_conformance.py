"""The plugin for compatible servers passes the kit."""

from __future__ import annotations

from orchestrator_core.testing import ProviderConformance
from orchestrator_openai_compatible import OpenAICompatibleProvider


class TestOpenAICompatible(ProviderConformance):
    provider = OpenAICompatibleProvider

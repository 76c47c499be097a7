"""Any server that speaks the OpenAI protocol, as a provider of the orchestrator gateway."""

from orchestrator_openai_compatible.provider import CompatibleSettings, OpenAICompatibleProvider

__all__ = ["CompatibleSettings", "OpenAICompatibleProvider"]

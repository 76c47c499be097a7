"""OpenAI as a provider of the orchestrator gateway."""

from orchestrator_openai.provider import OpenAIProvider

__all__ = ["OpenAIProvider"]

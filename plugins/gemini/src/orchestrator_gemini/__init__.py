"""Google Gemini as a provider of the orchestrator gateway."""

from orchestrator_gemini.provider import GeminiProvider

__all__ = ["GeminiProvider"]

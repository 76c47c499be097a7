"""DeepSeek as a provider of the orchestrator gateway."""

from orchestrator_deepseek.provider import DeepSeekProvider

__all__ = ["DeepSeekProvider"]

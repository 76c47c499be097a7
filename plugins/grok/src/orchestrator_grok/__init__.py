"""Grok (xAI) as a provider of the orchestrator gateway."""

from orchestrator_grok.provider import GrokProvider

__all__ = ["GrokProvider"]

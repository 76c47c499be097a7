"""Anthropic as a provider of the orchestrator gateway."""

from orchestrator_anthropic.provider import AnthropicProvider

__all__ = ["AnthropicProvider"]

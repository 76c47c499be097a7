"""Mistral AI as a provider of the orchestrator gateway."""

from orchestrator_mistral.provider import MistralProvider

__all__ = ["MistralProvider"]

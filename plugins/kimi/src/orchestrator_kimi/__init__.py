"""Kimi (Moonshot AI) as a provider of the orchestrator gateway."""

from orchestrator_kimi.provider import KimiProvider

__all__ = ["KimiProvider"]

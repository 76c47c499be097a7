"""Acme as a provider of the orchestrator gateway."""

from orchestrator_acme.provider import AcmeProvider

__all__ = ["AcmeProvider"]

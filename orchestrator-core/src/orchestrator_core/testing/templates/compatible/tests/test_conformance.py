"""Acme keeps to the contract. The fake upstream speaks OpenAI's protocol, so there is none to write."""

from orchestrator_acme import AcmeProvider
from orchestrator_core.testing import ProviderConformance


class TestConformance(ProviderConformance):
    provider = AcmeProvider
    key = "acme-" + "a1B2" * 8

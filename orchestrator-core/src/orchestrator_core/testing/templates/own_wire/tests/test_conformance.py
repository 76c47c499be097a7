"""Acme keeps to the contract."""

from acme_fake import AcmeFake
from orchestrator_acme import AcmeProvider
from orchestrator_core.testing import ProviderConformance


class TestConformance(ProviderConformance):
    provider = AcmeProvider
    upstream = AcmeFake
    key = "acme-" + "a1B2" * 8

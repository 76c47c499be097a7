"""The suite as authors use it: one class with every check."""

from __future__ import annotations

from orchestrator_core.testing.checks.chat import ChatChecks
from orchestrator_core.testing.checks.contract import ContractChecks
from orchestrator_core.testing.checks.embeddings import EmbeddingChecks
from orchestrator_core.testing.checks.errors import ErrorChecks
from orchestrator_core.testing.checks.fidelity import FidelityChecks
from orchestrator_core.testing.checks.leaks import LeakChecks
from orchestrator_core.testing.checks.lifetime import LifetimeChecks
from orchestrator_core.testing.checks.portability import PortabilityChecks
from orchestrator_core.testing.checks.tools import ToolChecks


class ProviderConformance(
    ContractChecks,
    ChatChecks,
    FidelityChecks,
    ToolChecks,
    EmbeddingChecks,
    ErrorChecks,
    LifetimeChecks,
    PortabilityChecks,
    LeakChecks,
):
    """Everything that the contract promises of a provider, to be run by its author.

    Derive a class whose name begins with `Test`, and say which provider is meant; see `Suite` for the rest:

        class TestConformance(ProviderConformance):
            provider = AcmeProvider
            upstream = AcmeFake
            key = "acme-0123456789abcdef"
    """

"""The conformance kit: what a provider's author runs on the package, with a fake of the vendor.

    from orchestrator_core.testing import ProviderConformance

    class TestConformance(ProviderConformance):
        provider = AcmeProvider

It has the version of the contract (`CONTRACT_VERSION`): a provider that passes keeps to that contract. It needs
pytest, which `pip install orchestrator-core[testing]` brings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator_core.testing.conformance import ProviderConformance
    from orchestrator_core.testing.fake import Asked, FakeUpstream, Operation, WireEvent
    from orchestrator_core.testing.openai_wire import OpenAIFake, pieces
    from orchestrator_core.testing.scenes import Fault, Scene, ScriptedCall

__all__ = [
    "Asked",
    "FakeUpstream",
    "Fault",
    "OpenAIFake",
    "Operation",
    "ProviderConformance",
    "Scene",
    "ScriptedCall",
    "WireEvent",
    "pieces",
]

_WHERE = {
    "Asked": "fake",
    "FakeUpstream": "fake",
    "Fault": "scenes",
    "OpenAIFake": "openai_wire",
    "Operation": "fake",
    "ProviderConformance": "conformance",
    "Scene": "scenes",
    "ScriptedCall": "scenes",
    "WireEvent": "fake",
    "pieces": "openai_wire",
}


def __getattr__(name: str) -> object:
    # The pytest plugin stands in this package and is loaded in every run of pytest: it must not bring the gateway.
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)

"""The echo passes the kit, as a provider that works offline."""

from __future__ import annotations

from orchestrator_core.testing import ProviderConformance
from orchestrator_echo import EchoProvider


class TestEcho(ProviderConformance):
    provider = EchoProvider
    upstream = None

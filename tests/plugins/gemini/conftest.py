from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from fake_upstreams.strict_gemini import StrictGemini
from orchestrator_core.provider_api import ProviderContext, ProviderSettings
from orchestrator_core.upstream import ClientFactory, UpstreamLimits
from orchestrator_gemini import GeminiProvider

MakeGemini = Callable[..., GeminiProvider]


@pytest.fixture
async def vendor() -> AsyncIterator[StrictGemini]:
    async with StrictGemini() as running:
        assert isinstance(running, StrictGemini)
        yield running


@pytest.fixture
async def clients() -> AsyncIterator[ClientFactory]:
    factory = ClientFactory(UpstreamLimits())
    yield factory
    await factory.close()


@pytest.fixture
def make_gemini(vendor: StrictGemini, clients: ClientFactory) -> MakeGemini:
    """Make a provider of the strict server, through the real client."""

    def make(**settings: object) -> GeminiProvider:
        values = ProviderSettings.model_validate({"base_url": vendor.url, **settings})
        return GeminiProvider(ProviderContext("gemini", values, clients.client(GeminiProvider.info.auth)))

    return make


@pytest.fixture
def gemini(make_gemini: MakeGemini) -> GeminiProvider:
    return make_gemini()

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from fake_upstreams.openai_server import OpenAIServer
from orchestrator_core.openai_compatible import Dialect, OpenAICompatibleProvider
from orchestrator_core.provider_api import (
    Capability,
    HeaderAuth,
    ModelInfo,
    ProviderContext,
    ProviderInfo,
    ProviderSettings,
)
from orchestrator_core.upstream import ClientFactory, UpstreamLimits

MakeProvider = Callable[..., OpenAICompatibleProvider]
CAPABILITIES: tuple[Capability, ...] = ("chat", "embeddings")


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def clients() -> AsyncIterator[ClientFactory]:
    factory = ClientFactory(UpstreamLimits())
    yield factory
    await factory.close()


@pytest.fixture
def make_provider(server: OpenAIServer, clients: ClientFactory) -> MakeProvider:
    """Make a provider of the server; `dialect` has its differences, all else are settings."""

    def make(dialect: Dialect | None = None, **settings: object) -> OpenAICompatibleProvider:
        class TestedProvider(OpenAICompatibleProvider):
            info = ProviderInfo(
                name="tested",
                title="Tested",
                capabilities=CAPABILITIES,
                models=(ModelInfo(id="gpt-old", replacement="gpt-new"),),
            )

        TestedProvider.dialect = dialect or Dialect()
        values = ProviderSettings.model_validate({"base_url": server.base_url, **settings})
        return TestedProvider(ProviderContext("tested", values, clients.client(HeaderAuth())))

    return make

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from orchestrator_core.openai_compatible import OpenAICompatibleProvider
from orchestrator_core.provider_api import ProviderContext
from orchestrator_core.upstream import ClientFactory, UpstreamLimits

Connect = Callable[..., OpenAICompatibleProvider]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Make a provider of a server, with the real client between them."""
    factory = ClientFactory(UpstreamLimits())

    def make(kind: type[OpenAICompatibleProvider], url: str, **settings: object) -> OpenAICompatibleProvider:
        values = kind.settings_model.model_validate({"base_url": url, **settings})
        return kind(ProviderContext(kind.info.name, values, factory.client(kind.info.auth)))

    yield make
    await factory.close()

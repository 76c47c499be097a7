"""OpenAI's provider at any server, with any settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from orchestrator_core.provider_api import ProviderContext
from orchestrator_core.upstream import ClientFactory, UpstreamLimits
from orchestrator_openai import OpenAIProvider
from orchestrator_openai.provider import OpenAISettings


@pytest.fixture
async def connect_openai() -> AsyncIterator[Callable[..., OpenAIProvider]]:
    """Makes a provider for a base URL."""
    factory = ClientFactory(UpstreamLimits())

    def connect(base_url: str, **settings: Any) -> OpenAIProvider:
        given = OpenAISettings(base_url=base_url, **settings)
        return OpenAIProvider(ProviderContext("openai", given, factory.client(OpenAIProvider.info.auth)))

    yield connect
    await factory.close()

"""Anthropic's SDK in front of a gateway whose providers speak other protocols, or its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from anthropic import AsyncAnthropic

from fake_providers.scripted import ScriptedProvider
from orchestrator_echo import EchoProvider
from scripted_gateway import Served, served


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    """A gateway in front of the echo and of a provider that does what a test tells it to."""
    async with served(tmp_path, [EchoProvider, ScriptedProvider]) as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: Served) -> AsyncIterator[AsyncAnthropic]:
    """The SDK, pointed at the gateway."""
    async with AsyncAnthropic(api_key="anything", base_url=gateway.url, max_retries=0) as sdk:
        yield sdk

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fake_upstreams.misbehaving import MisbehavingUpstream
from orchestrator_core.provider_api import HeaderAuth
from orchestrator_core.upstream import ClientFactory, UpstreamLimits
from orchestrator_core.upstream.client import PooledClient


@pytest.fixture
async def upstream() -> AsyncIterator[MisbehavingUpstream]:
    async with MisbehavingUpstream() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[PooledClient]:
    factory = ClientFactory(UpstreamLimits())
    yield factory.client(HeaderAuth())
    await factory.close()

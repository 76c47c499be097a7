"""The gateway and the vendors that the client libraries talk to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from clients.frontage import MODELS, Frontage, frontage


@pytest_asyncio.fixture(loop_scope="session")
async def front(tmp_path: Path) -> AsyncIterator[Frontage]:
    """The gateway over four strict vendors."""
    async with frontage(tmp_path) as running:
        yield running


@pytest.fixture(params=MODELS)
def vendor(request: pytest.FixtureRequest) -> str:
    """The name of a provider."""
    name: str = request.param
    return name


@pytest.fixture(params=["openai_dialect", "anthropic_dialect"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Which protocol the client speaks."""
    name: str = request.param
    return name

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from fake_providers.anthropic_shaped import AnthropicShapedProvider
from fake_providers.gemini_shaped import GeminiShapedProvider
from orchestrator_core.config import load
from orchestrator_core.orchestration import Gateway, Selection, TurnRequest, TurnResult
from orchestrator_core.plugins import Provider, Registry
from orchestrator_core.provider_api import (
    ChatRequest,
    Message,
    ProviderContext,
    ProviderSettings,
    UpstreamClient,
    text_message,
)
from orchestrator_core.security.principal import ANONYMOUS
from orchestrator_core.telemetry.metrics import Metrics
from stores import plain_store


class Conversation:
    """One session over a real database, with two providers that speak different wire formats."""

    def __init__(self, gateway: Gateway, claude: AnthropicShapedProvider, gemini: GeminiShapedProvider) -> None:
        self.gateway = gateway
        self.claude = claude
        self.gemini = gemini
        self.session_id: str | None = None

    async def say(self, to: AnthropicShapedProvider | GeminiShapedProvider, said: str | Message) -> TurnResult:
        """Take a turn with one of them."""
        message = text_message("user", said) if isinstance(said, str) else said
        template = ChatRequest(model="", messages=(), deadline=self.gateway.deadline(10))
        selection = Selection(provider=to.context.provider_id, fallbacks=())
        request = TurnRequest(selection=selection, messages=[message], template=template, session_id=self.session_id)
        result = await (await self.gateway.turn(ANONYMOUS, request)).result()
        self.session_id = result.session.id
        return result


def context(name: str) -> ProviderContext:
    return ProviderContext(name, ProviderSettings(), cast("UpstreamClient", None))


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema in it, since making that takes a second each time."""
    path = tmp_path_factory.mktemp("contract") / "test.db"

    async def make() -> None:
        store = plain_store(path, max_idle=timedelta(hours=1))
        await store.open()
        await store.close()

    asyncio.run(make())
    return path


@pytest.fixture
async def conversation(tmp_path: Path, migrated_database: Path) -> AsyncIterator[Conversation]:
    shutil.copy(migrated_database, tmp_path / "test.db")
    claude, gemini = AnthropicShapedProvider(context("claude")), GeminiShapedProvider(context("gemini"))
    store = plain_store(tmp_path / "test.db", max_idle=timedelta(hours=1))
    registry = Registry([Provider(claude), Provider(gemini)])
    gateway = Gateway(load(environ={}, directory=tmp_path), registry, store, Metrics())
    await gateway.start()
    yield Conversation(gateway, claude, gemini)
    await gateway.close()

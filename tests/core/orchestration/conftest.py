from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.config import load
from orchestrator_core.orchestration import Gateway
from orchestrator_core.plugins import Provider, Registry
from orchestrator_core.provider_api import ProviderContext, ProviderSettings, UpstreamClient
from orchestrator_core.telemetry.metrics import Metrics
from stores import plain_store


class Bench:
    """A gateway over two scripted providers and a real database."""

    def __init__(self, gateway: Gateway, one: ScriptedProvider, two: ScriptedProvider) -> None:
        self.gateway = gateway
        self.one = one
        self.two = two


StartBench = Callable[..., Awaitable[Bench]]


def scripted(name: str) -> ScriptedProvider:
    return ScriptedProvider(ProviderContext(name, ProviderSettings(), cast("UpstreamClient", None)))


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema in it, since making that takes a second each time."""
    path = tmp_path_factory.mktemp("migrated") / "test.db"

    async def make() -> None:
        store = plain_store(path, max_idle=timedelta(hours=1))
        await store.open()
        await store.close()

    asyncio.run(make())
    return path


@pytest.fixture
async def start(tmp_path: Path, migrated: Path) -> AsyncIterator[StartBench]:
    benches: list[Bench] = []
    shutil.copy(migrated, tmp_path / "test.db")

    async def make(**environ: Any) -> Bench:
        config = load(environ={name: str(value) for name, value in environ.items()}, directory=tmp_path)
        one, two = scripted("one"), scripted("two")
        registry = Registry([Provider(one), Provider(two)])
        store = plain_store(tmp_path / "test.db", max_idle=timedelta(hours=1))
        gateway = Gateway(config, registry, store, Metrics())
        await gateway.start()
        benches.append(Bench(gateway, one, two))
        return benches[-1]

    yield make
    for bench in benches:
        await bench.gateway.close()

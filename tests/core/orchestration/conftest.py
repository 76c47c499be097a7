from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.config import load
from orchestrator_core.orchestration import Gateway, Selection
from orchestrator_core.plugins import Provider, Registry
from orchestrator_core.provider_api import (
    ChatRequest,
    ProviderContext,
    ProviderSettings,
    Secret,
    UpstreamClient,
    text_message,
)
from orchestrator_core.resilience.keys import KeyRing
from orchestrator_core.security.principal import ANONYMOUS
from orchestrator_core.telemetry.metrics import Metrics
from stores import plain_store, sqlite_store


class Bench:
    """A gateway over two scripted providers and a real database."""

    def __init__(self, gateway: Gateway, one: ScriptedProvider, two: ScriptedProvider) -> None:
        self.gateway = gateway
        self.one = one
        self.two = two


StartBench = Callable[..., Awaitable[Bench]]
NAMES = ("one", "two", "three", "four")


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


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Tried:
    """A gateway over four providers, whose keys expire by a clock of the test's own."""

    def __init__(self, gateway: Gateway, plugins: dict[str, ScriptedProvider], clock: Clock) -> None:
        self.gateway = gateway
        self.plugins = plugins
        self.clock = clock

    async def ask(self, *names: str, model: str = "scripted-1") -> str:
        request = ChatRequest(model="", messages=[text_message("user", "ping")], deadline=self.gateway.deadline(10))
        fallbacks = tuple(f"{name}/{model}" for name in names[1:])
        selection = Selection(provider=names[0], model=model, fallbacks=fallbacks)
        opened = await self.gateway.chat(ANONYMOUS, selection, request)
        await opened.response()
        return opened.provider

    def credentials(self, name: str = "one") -> list[Secret | None]:
        return [request.credential for request in self.plugins[name].requests]


StartTried = Callable[..., Awaitable[Tried]]


@pytest.fixture
async def start_tried(tmp_path: Path) -> AsyncIterator[StartTried]:
    """Start a gateway whose four providers have these keys of the server."""
    gateways: list[Gateway] = []

    async def make(keys: Sequence[Secret] = (), **environ: str) -> Tried:
        plugins = {
            name: ScriptedProvider(ProviderContext(name, ProviderSettings(), cast("UpstreamClient", None)))
            for name in NAMES
        }
        registry = Registry([Provider(plugin, keys) for plugin in plugins.values()])
        gateway = Gateway(
            load(environ=environ, directory=tmp_path), registry, sqlite_store(tmp_path / "a.db"), Metrics()
        )
        clock = Clock()
        gateway.guards.keys = KeyRing(clock)
        await gateway.start()
        gateways.append(gateway)
        return Tried(gateway, plugins, clock)

    yield make
    for gateway in gateways:
        await gateway.close()

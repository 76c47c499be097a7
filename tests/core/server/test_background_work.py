"""What is done once for all processes that share a store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.config import load
from orchestrator_core.orchestration import Gateway
from orchestrator_core.plugins import Provider, Registry
from orchestrator_core.provider_api import (
    HealthReport,
    HealthRequest,
    ModelInfo,
    ProviderContext,
    ProviderInfo,
    StorageError,
    hookimpl,
)
from orchestrator_core.resilience.keys import KeyRing
from orchestrator_core.server import purge as purging
from orchestrator_core.server import watch
from orchestrator_core.server.leader import Leader
from orchestrator_core.server.purge import purge
from orchestrator_core.server.watch import watch_health
from orchestrator_core.sessions.conversations import Conversations
from orchestrator_core.sessions.store import SessionStore
from orchestrator_core.telemetry.metrics import Metrics
from stores import MAX_IDLE, TENANT, Clock, sqlite_store, talk


class Watched(ScriptedProvider):
    """A provider that says how often it was looked at."""

    info = ProviderInfo(name="watched", title="Watched", requires_key=False, capabilities=("chat",))

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.looks = 0
        self.report = HealthReport(healthy=True)

    @hookimpl
    async def health(self, request: HealthRequest) -> HealthReport:
        self.looks += 1
        return self.report


class Process:
    """As much of a gateway as the background needs."""

    def __init__(self, store: SessionStore, folder: Path, base_url: str | None = None) -> None:
        config = load(environ={"METRICS_COLLECTION_INTERVAL": "0.01"}, directory=folder)
        settings = config.provider(Watched.info, Watched.settings_model).settings
        if base_url:
            settings = settings.model_copy(update={"base_url": base_url})
        self.plugin = Watched(ProviderContext(provider_id="watched", settings=settings, client=cast("Any", None)))
        self.provider = Provider(self.plugin)
        parts = {"config": config, "registry": Registry([self.provider]), "store": store, "metrics": Metrics()}
        guards = SimpleNamespace(keys=KeyRing())
        self.gateway = cast("Gateway", SimpleNamespace(**parts, guards=guards, deadline=config.settings.deadline))

    @contextmanager
    def watching(self) -> Iterator[asyncio.Task[None]]:
        task = asyncio.create_task(watch_health(self.gateway))
        try:
            yield task
        finally:
            task.cancel()


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    opened = sqlite_store(tmp_path / "store.db", clock=Clock())
    await opened.open()
    yield opened
    await opened.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_one_process_looks_and_the_others_know_what_it_found(store: SessionStore, tmp_path: Path) -> None:
    one, two = Process(store, tmp_path), Process(store, tmp_path)
    one.plugin.report = HealthReport(healthy=False, detail="down", models=[ModelInfo(id="new-1")])
    with one.watching():
        await until(lambda: one.plugin.looks > 0)
        with two.watching():
            await until(lambda: not two.provider.healthy)
            assert two.provider.health_detail == "down"
            assert [model.id for model in two.provider.models] == ["new-1"]
            assert 'orchestrator_provider_healthy{provider="watched"} 0.0' in two.gateway.metrics.render()[0].decode()
            one.plugin.report = HealthReport(healthy=True)
            await until(lambda: two.provider.healthy)
            assert two.plugin.looks == 0


async def test_another_process_takes_over_from_one_that_ends(store: SessionStore, tmp_path: Path) -> None:
    one, two = Process(store, tmp_path), Process(store, tmp_path)
    with one.watching() as first:
        await until(lambda: one.plugin.looks > 0)
        with two.watching():
            first.cancel()
            await until(lambda: two.plugin.looks > 0)
    looks = one.plugin.looks
    assert first.done()
    assert one.plugin.looks == looks


async def test_who_lost_the_key_is_neither_well_nor_ill(
    store: SessionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(store, tmp_path)
    process.plugin.report = HealthReport(healthy=False)

    def shown() -> str:
        return process.gateway.metrics.render()[0].decode()

    with process.watching():
        await until(lambda: 'orchestrator_provider_healthy{provider="watched"} 0.0' in shown())
        monkeypatch.setattr(process.provider, "info", replace(process.provider.info, requires_key=True))
        await until(lambda: 'orchestrator_provider_healthy{provider="watched"} NaN' in shown())


async def test_the_others_learn_too_that_nobody_looks_at_a_provider_any_more(
    store: SessionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = Process(store, tmp_path), Process(store, tmp_path)
    one.plugin.report = HealthReport(healthy=False)

    def shown() -> str:
        return two.gateway.metrics.render()[0].decode()

    with one.watching():
        await until(lambda: one.plugin.looks > 0)
        with two.watching():
            await until(lambda: 'orchestrator_provider_healthy{provider="watched"} 0.0' in shown())
            monkeypatch.setattr(one.provider, "info", replace(one.provider.info, requires_key=True))
            await until(lambda: 'orchestrator_provider_healthy{provider="watched"} NaN' in shown())


async def test_gateways_that_serve_something_else_look_for_themselves(store: SessionStore, tmp_path: Path) -> None:
    one, two = Process(store, tmp_path), Process(store, tmp_path, base_url="http://127.0.0.1:9/v1")
    with one.watching(), two.watching():
        await until(lambda: one.plugin.looks > 0 and two.plugin.looks > 0)


async def test_a_plugin_that_does_not_end_its_look_stops_nobody_elses(
    store: SessionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LATE_AFTER", 0.05)
    released = asyncio.Event()

    async def ignoring() -> None:
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    class Stuck(ScriptedProvider):
        info = ProviderInfo(name="stuck", title="Stuck", requires_key=False, capabilities=("chat",))

        @hookimpl
        async def health(self, request: HealthRequest) -> HealthReport:
            await asyncio.create_task(ignoring())
            return HealthReport(healthy=True)

    process = Process(store, tmp_path)
    settings = process.provider.settings
    stuck = Provider(Stuck(ProviderContext(provider_id="stuck", settings=settings, client=cast("Any", None))))
    process.gateway.registry = Registry([stuck, process.provider])
    with process.watching():
        await until(lambda: process.plugin.looks > 3)
        assert not stuck.healthy
        assert 'orchestrator_provider_healthy{provider="stuck"} 0.0' in process.gateway.metrics.render()[0].decode()
        assert 'orchestrator_provider_healthy{provider="watched"} 1.0' in process.gateway.metrics.render()[0].decode()
        released.set()
        await until(lambda: stuck.healthy)


async def test_a_store_that_is_away_does_not_end_the_watch(
    store: Conversations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(store, tmp_path)
    lease, failures = store.lease, [StorageError("away"), StorageError("away")]

    async def failing(name: str, holder: str, seconds: float) -> bool:
        if failures:
            raise failures.pop()
        return await lease(name, holder, seconds)

    monkeypatch.setattr(store, "lease", failing)
    with process.watching():
        await until(lambda: process.plugin.looks > 0)


async def test_what_is_over_is_deleted_by_the_one_that_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Conversations
) -> None:
    monkeypatch.setattr(purging, "PAUSE", 0.0)
    monkeypatch.setattr(purging, "BATCH", 2)
    clock = cast("Clock", store._clock)
    for _ in range(5):
        await talk(store, "hello")
    clock.advance(MAX_IDLE + timedelta(days=2))
    config = load(environ={"ORCHESTRATOR_SESSION_RETENTION_DAYS": "1"}, directory=tmp_path)
    gateway = cast("Gateway", SimpleNamespace(config=config, store=store))
    leaders: Sequence[Leader] = [Leader(store, "purge", 60), Leader(store, "purge", 60)]
    assert await leaders[1].leads()
    assert await purge(gateway, leaders[0]) == 0
    assert await purge(gateway, leaders[1]) == 5
    assert (await store.list_sessions(TENANT, limit=10)).items == []

"""How often, and with which of the server's keys, providers are asked."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.config import load
from orchestrator_core.orchestration import Gateway, Selection
from orchestrator_core.plugins import Provider, Registry
from orchestrator_core.provider_api import (
    ChatRequest,
    EmbeddingRequest,
    ProviderContext,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderSettings,
    Secret,
    UpstreamClient,
    text_message,
)
from orchestrator_core.resilience import retry
from orchestrator_core.resilience.keys import REST, KeyRing
from orchestrator_core.security.principal import ANONYMOUS
from orchestrator_core.telemetry.metrics import Metrics
from stores import sqlite_store

KEYS = (Secret("first-key-000001"), Secret("second-key-00002"))
NAMES = ("one", "two", "three", "four")


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

    async def ask(self, *names: str) -> str:
        request = ChatRequest(model="", messages=[text_message("user", "ping")], deadline=self.gateway.deadline(10))
        opened = await self.gateway.chat(ANONYMOUS, Selection(provider=names[0], fallbacks=names[1:]), request)
        await opened.response()
        return opened.provider

    def credentials(self, name: str = "one") -> list[Secret | None]:
        return [request.credential for request in self.plugins[name].requests]


Start = Callable[[Sequence[Secret]], Awaitable[Tried]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    gateways: list[Gateway] = []

    async def make(keys: Sequence[Secret]) -> Tried:
        plugins = {
            name: ScriptedProvider(ProviderContext(name, ProviderSettings(), cast("UpstreamClient", None)))
            for name in NAMES
        }
        registry = Registry([Provider(plugin, keys) for plugin in plugins.values()])
        gateway = Gateway(load(environ={}, directory=tmp_path), registry, sqlite_store(tmp_path / "a.db"), Metrics())
        clock = Clock()
        gateway.guards.keys = KeyRing(clock)
        await gateway.start()
        gateways.append(gateway)
        return Tried(gateway, plugins, clock)

    yield make
    for gateway in gateways:
        await gateway.close()


async def test_a_key_without_quota_is_passed_over_until_its_time_is_up(start: Start) -> None:
    tried = await start(KEYS)
    tried.plugins["one"].scripts.append([ProviderQuotaExhausted("no money")])

    await tried.ask("one")
    tried.clock.now += REST - 1
    await tried.ask("one")
    tried.clock.now += 2
    await tried.ask("one")

    assert tried.credentials() == [KEYS[0], KEYS[1], KEYS[1], KEYS[0]]


async def test_embeddings_pass_over_the_same_key(start: Start) -> None:
    tried = await start(KEYS)
    tried.plugins["one"].scripts.append([ProviderQuotaExhausted("no money")])
    ask = EmbeddingRequest(model="", input=["a"], deadline=tried.gateway.deadline(10))

    await tried.gateway.embed(ANONYMOUS, Selection(provider="one", fallbacks=()), ask)
    await tried.ask("one")

    assert tried.credentials() == [KEYS[0], KEYS[1], KEYS[1]]


async def test_any_other_failure_costs_a_key_nothing(start: Start) -> None:
    tried = await start(KEYS)
    tried.plugins["one"].scripts.append([ProviderFailed("500")])

    await tried.ask("one", "two")
    await tried.ask("one")

    assert tried.credentials() == [KEYS[0], KEYS[0]]


async def test_the_last_key_is_asked_although_it_has_no_quota(start: Start) -> None:
    tried = await start(KEYS[:1])
    tried.plugins["one"].scripts.append([ProviderQuotaExhausted("no money")])

    with pytest.raises(ProviderQuotaExhausted):
        await tried.ask("one")
    await tried.ask("one")

    assert tried.credentials() == [KEYS[0], KEYS[0]]


async def test_four_targets_that_fail_are_three_calls(start: Start) -> None:
    tried = await start(())
    for plugin in tried.plugins.values():
        plugin.scripts.extend([[ProviderFailed("500")]] * 3)

    with pytest.raises(ProviderFailed):
        await tried.ask(*NAMES)

    assert [len(tried.plugins[name].requests) for name in NAMES] == [1, 1, 1, 0]


async def test_three_targets_that_fail_leave_no_call_for_another_try(start: Start) -> None:
    tried = await start(())
    for plugin in tried.plugins.values():
        plugin.scripts.extend([[ProviderFailed("500")]] * 3)

    with pytest.raises(ProviderFailed):
        await tried.ask("one", "two", "three")

    assert [len(tried.plugins[name].requests) for name in NAMES] == [1, 1, 1, 0]


async def test_the_delay_between_two_tries_is_waited(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = await start(())
    tried.plugins["one"].scripts.append([ProviderFailed("500")])
    monkeypatch.setattr("orchestrator_core.resilience.retry.random.uniform", lambda *_: 0.15)
    began = time.monotonic()

    await tried.ask("one")

    assert 0.15 <= time.monotonic() - began < 0.15 + retry.BASE_DELAY

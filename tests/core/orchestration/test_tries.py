"""How often, and with which of the server's keys, providers are asked."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from orchestrator_core.orchestration import Selection
from orchestrator_core.provider_api import (
    EmbeddingRequest,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    Secret,
)
from orchestrator_core.resilience import retry
from orchestrator_core.resilience.keys import REST
from orchestrator_core.security.principal import ANONYMOUS
from orchestrator_core.telemetry.request_record import RequestRecord

KEYS = (Secret("first-key-000001"), Secret("second-key-00002"))
NAMES = ("one", "two", "three", "four")


async def test_a_key_without_quota_is_passed_over_until_its_time_is_up(start_tried: Any) -> None:
    tried = await start_tried(KEYS)
    tried.plugins["one"].scripts.append([ProviderQuotaExhausted("no money")])

    await tried.ask("one")
    tried.clock.now += REST - 1
    await tried.ask("one")
    tried.clock.now += 2
    await tried.ask("one")

    assert tried.credentials() == [KEYS[0], KEYS[1], KEYS[1], KEYS[0]]


async def test_embeddings_pass_over_the_same_key(start_tried: Any) -> None:
    tried = await start_tried(KEYS)
    tried.plugins["one"].scripts.append([ProviderQuotaExhausted("no money")])
    ask = EmbeddingRequest(model="", input=["a"], deadline=tried.gateway.deadline(10))

    await tried.gateway.embed(ANONYMOUS, Selection(provider="one", fallbacks=()), ask)
    await tried.ask("one")

    assert tried.credentials() == [KEYS[0], KEYS[1], KEYS[1]]


async def test_any_other_failure_costs_a_key_nothing(start_tried: Any) -> None:
    tried = await start_tried(KEYS)
    tried.plugins["one"].scripts.append([ProviderFailed("500")])

    await tried.ask("one", "two")
    await tried.ask("one")

    assert tried.credentials() == [KEYS[0], KEYS[0]]


async def test_the_last_key_is_asked_although_it_has_no_quota(start_tried: Any) -> None:
    tried = await start_tried(KEYS[:1])
    tried.plugins["one"].scripts.append([ProviderQuotaExhausted("no money")])

    with pytest.raises(ProviderQuotaExhausted):
        await tried.ask("one")
    await tried.ask("one")

    assert tried.credentials() == [KEYS[0], KEYS[0]]


async def test_four_targets_that_fail_are_three_calls(start_tried: Any) -> None:
    tried = await start_tried(())
    for plugin in tried.plugins.values():
        plugin.scripts.extend([[ProviderFailed("500")]] * 3)

    with pytest.raises(ProviderFailed):
        await tried.ask(*NAMES)

    assert [len(tried.plugins[name].requests) for name in NAMES] == [1, 1, 1, 0]


async def test_three_targets_that_fail_leave_no_call_for_another_try(start_tried: Any) -> None:
    tried = await start_tried(())
    for plugin in tried.plugins.values():
        plugin.scripts.extend([[ProviderFailed("500")]] * 3)

    with pytest.raises(ProviderFailed):
        await tried.ask("one", "two", "three")

    assert [len(tried.plugins[name].requests) for name in NAMES] == [1, 1, 1, 0]


async def test_the_delay_between_two_tries_is_waited(start_tried: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = await start_tried(())
    tried.plugins["one"].scripts.append([ProviderFailed("500")])
    monkeypatch.setattr("orchestrator_core.resilience.retry.random.uniform", lambda *_: 0.15)
    began = time.monotonic()

    await tried.ask("one")

    assert 0.15 <= time.monotonic() - began < 0.15 + retry.BASE_DELAY


async def test_a_fallback_that_cannot_be_called_takes_nobodys_retry_away(
    start_tried: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)
    tried = await start_tried(())
    without_key, quarantined = (tried.gateway.registry.get(name) for name in ("two", "three"))
    without_key.info = replace(without_key.info, requires_key=True)
    quarantined.quarantine("it blocks")
    tried.plugins["one"].scripts.append([ProviderFailed("500")])

    assert await tried.ask("one", "two", "three") == "one"
    assert [len(tried.plugins[name].requests) for name in NAMES] == [2, 0, 0, 0]


async def test_the_pause_before_a_retry_is_time_of_the_provider(start_tried: Any) -> None:
    tried = await start_tried(KEYS[:1])
    tried.plugins["one"].scripts.append([ProviderRateLimited("slow down", retry_after=0.1)])

    record = RequestRecord(time.monotonic(), "req_1")
    with record:
        await tried.ask("one")

    assert record.waited.total >= 0.1

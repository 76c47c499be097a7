"""All providers are down at once: what is asked of them stays within what was asked of the gateway."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from orchestrator_core.provider_api import GatewayError, ProviderUnavailable
from orchestrator_core.resilience import retry

REQUESTS, AT_ONCE = 640, 32


async def flood(tried: Any, *names: str, models: int = 1) -> Counter[str]:
    """Ask again and again, 32 at a time and of so many models; return how it ended."""
    codes, left = Counter[str](), iter(range(REQUESTS))

    async def ask_on() -> None:
        for number in left:
            try:
                codes[await tried.ask(*names, model=f"model-{number % models}")] += 1
            except GatewayError as error:
                codes[error.code] += 1

    await asyncio.gather(*(ask_on() for _ in range(AT_ONCE)))
    return codes


def calls(tried: Any) -> int:
    return sum(len(plugin.requests) for plugin in tried.plugins.values())


def take_down(tried: Any, *names: str) -> None:
    for name in names:
        tried.plugins[name].scripts.extend([[ProviderUnavailable("503")]] * 10 * REQUESTS)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without a wait: the load comes as fast as it can."""
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)


@pytest.mark.parametrize("names", [("one",), ("one", "two", "three")])
async def test_in_a_total_outage_calls_stay_within_a_tenth_above_the_requests(
    start_tried: Any, names: tuple[str, ...]
) -> None:
    tried = await start_tried()
    take_down(tried, *names)

    codes = await flood(tried, *names)

    assert sum(codes.values()) == REQUESTS
    assert calls(tried) <= 1.1 * REQUESTS
    # Far below, in fact: what is under way when a circuit opens, at each provider.
    assert calls(tried) <= 2 * AT_ONCE * len(names)
    assert codes["circuit_open"] > REQUESTS / 2


@pytest.mark.parametrize("models", [20, REQUESTS])
async def test_it_is_so_too_where_no_model_is_asked_often_enough_to_be_left_alone(
    start_tried: Any, models: int
) -> None:
    names = ("one", "two", "three")
    tried = await start_tried()
    take_down(tried, *names)

    codes = await flood(tried, *names, models=models)

    assert sum(codes.values()) == REQUESTS
    assert calls(tried) <= 2 * AT_ONCE * len(names)
    assert codes["circuit_open"] > REQUESTS / 2


async def test_without_breakers_the_budget_alone_keeps_the_retries_to_a_tenth(start_tried: Any) -> None:
    tried = await start_tried(ORCHESTRATOR_BREAKER_ENABLED="false")
    take_down(tried, "one")
    began = asyncio.get_running_loop().time()

    codes = await flood(tried, "one")

    seconds = asyncio.get_running_loop().time() - began
    assert codes == {"provider_unavailable": REQUESTS}
    assert REQUESTS < calls(tried) <= 1.1 * REQUESTS + seconds + 1


async def test_a_fallback_is_no_retry_and_needs_no_budget(start_tried: Any) -> None:
    tried = await start_tried(ORCHESTRATOR_BREAKER_ENABLED="false")
    take_down(tried, "one")

    assert await flood(tried, "one", "two") == {"two": REQUESTS}

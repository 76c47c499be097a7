"""What the background watch finds, and whom calls go to."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator_core.config.grants import Grant
from orchestrator_core.orchestration import Selection
from orchestrator_core.provider_api import ChatRequest, HealthReport, ProviderFailed, text_message
from orchestrator_core.security.principal import ANONYMOUS, Principal

SICK = HealthReport(healthy=False, detail="it does not answer")
WELL = HealthReport(healthy=True)


async def ask(bench: Any, *names: str, principal: Principal = ANONYMOUS) -> list[tuple[str, str | None]]:
    request = ChatRequest(model="", messages=[text_message("user", "ping")], deadline=bench.gateway.deadline(5))
    opened = await bench.gateway.chat(principal, Selection(provider=names[0], fallbacks=names[1:]), request)
    await opened.response()
    return [(attempt.provider, attempt.error) for attempt in opened.attempts]


def look(bench: Any, name: str, report: HealthReport) -> None:
    bench.gateway.registry.providers[name].note(report)


async def test_a_provider_that_was_found_failing_is_asked_last(start: Any) -> None:
    bench = await start()
    look(bench, "one", SICK)

    assert await ask(bench, "one", "two") == [("one", "provider_unhealthy"), ("two", None)]

    bench.two.scripts.append([ProviderFailed("500")])
    assert await ask(bench, "one", "two") == [("one", "provider_unhealthy"), ("two", "provider_failed"), ("one", None)]


async def test_it_is_asked_where_it_is_the_only_one(start: Any) -> None:
    bench = await start()
    look(bench, "one", SICK)

    assert await ask(bench, "one") == [("one", None)]
    only_one = Principal(id="c", tenant="t", grant=Grant(providers=frozenset({"one"})))
    assert await ask(bench, "one", "two", principal=only_one) == [("one", None)]


async def test_where_all_are_failing_the_order_stays(start: Any) -> None:
    bench = await start()
    look(bench, "one", SICK)
    look(bench, "two", SICK)

    assert await ask(bench, "one", "two") == [("one", None)]


async def test_a_failing_fallback_changes_nothing_for_who_is_before_it(start: Any) -> None:
    bench = await start()
    look(bench, "two", SICK)

    assert await ask(bench, "one", "two") == [("one", None)]


async def test_a_provider_that_is_well_again_is_asked_first_again(start: Any) -> None:
    bench = await start()
    look(bench, "one", SICK)
    look(bench, "one", WELL)

    assert await ask(bench, "one", "two") == [("one", None)]


async def test_where_nobody_watches_nothing_that_was_found_once_counts(start: Any) -> None:
    bench = await start(MONITORING_ENABLED="false")
    look(bench, "one", SICK)

    assert await ask(bench, "one", "two") == [("one", None)]


@pytest.mark.parametrize("monitoring", ["true", "false"])
async def test_what_was_passed_over_is_counted_and_is_no_call(start: Any, monitoring: str) -> None:
    bench = await start(MONITORING_ENABLED=monitoring)
    look(bench, "one", SICK)
    await ask(bench, "one", "two")

    shown = bench.gateway.metrics.render()[0].decode()
    passed_over = 'orchestrator_targets_passed_over_total{code="provider_unhealthy",provider="one"} 1.0'
    assert (passed_over in shown) == (monitoring == "true")
    assert set(bench.gateway.metrics.figures().providers) == ({"two"} if monitoring == "true" else {"one"})


async def test_a_provider_that_refuses_to_be_looked_at_keeps_its_place(start: Any) -> None:
    bench = await start()
    look(bench, "one", HealthReport(healthy=False, detail="the key may not list models", reached=True))

    assert not bench.gateway.registry.providers["one"].healthy
    assert await ask(bench, "one", "two") == [("one", None)]

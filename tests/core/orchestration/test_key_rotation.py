"""Several keys of the server for one provider: which is used, which rests, and who hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from orchestrator_core.orchestration import Selection
from orchestrator_core.provider_api import (
    ChatRequest,
    GatewayError,
    ProviderAuthFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    Secret,
    text_message,
)
from orchestrator_core.resilience.keys import LIMITED_REST, REST
from orchestrator_core.security.principal import ANONYMOUS

KEYS = (Secret("first-key-000001"), Secret("second-key-00002"), Secret("third-key-000003"))
LIMITED = ProviderRateLimited("slow down", retry_after=60.0)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


@pytest.mark.parametrize("error", [ProviderQuotaExhausted("402"), ProviderAuthFailed("401"), LIMITED])
async def test_where_one_key_does_not_do_the_next_is_used_at_once(start_tried: Any, error: GatewayError) -> None:
    tried = await start_tried(KEYS[:2])
    tried.plugins["one"].scripts.append([error])

    assert await tried.ask("one", "two") == "one"

    assert tried.credentials() == [KEYS[0], KEYS[1]]
    assert tried.plugins["two"].requests == []


async def test_a_limited_key_rests_as_long_as_its_provider_says(start_tried: Any) -> None:
    tried = await start_tried(KEYS[:2])
    tried.plugins["one"].scripts.append([LIMITED])

    await tried.ask("one")
    tried.clock.now += 59
    await tried.ask("one")
    tried.clock.now += 2
    await tried.ask("one")

    assert tried.credentials() == [KEYS[0], KEYS[1], KEYS[1], KEYS[0]]


@pytest.mark.parametrize(("said", "rest"), [(None, LIMITED_REST), (0.0, 1.0), (86_400.0, REST)])
async def test_a_rest_is_bounded_whatever_the_provider_says(start_tried: Any, said: float | None, rest: float) -> None:
    tried = await start_tried(KEYS[:2])
    tried.plugins["one"].scripts.append([ProviderRateLimited("slow down", retry_after=said)])

    await tried.ask("one")
    tried.clock.now += rest - 0.1
    await tried.ask("one")
    tried.clock.now += 0.2
    await tried.ask("one")

    assert tried.credentials() == [KEYS[0], KEYS[1], KEYS[1], KEYS[0]]


async def test_where_no_key_does_the_fallback_answers_after_two_tries(start_tried: Any) -> None:
    tried = await start_tried(KEYS)
    tried.plugins["one"].scripts.extend([[LIMITED]] * 3)

    assert await tried.ask("one", "two") == "two"
    assert tried.credentials() == [KEYS[0], KEYS[1]]
    assert await tried.ask("one", "two") == "two"
    assert tried.credentials() == [KEYS[0], KEYS[1], KEYS[2]]


async def test_where_all_keys_rest_the_provider_is_still_asked_once_a_request(start_tried: Any) -> None:
    tried = await start_tried(KEYS[:2])
    tried.plugins["one"].scripts.extend([[ProviderQuotaExhausted("402")]] * 4)
    for _ in range(3):
        with pytest.raises(ProviderQuotaExhausted):
            await tried.ask("one")

    assert len(tried.credentials()) == 4
    await tried.ask("one")


async def test_a_key_that_is_refused_is_an_alert_once_and_no_part_of_it_is_said(
    start_tried: Any, logged: list[Any]
) -> None:
    tried = await start_tried(KEYS[:2])
    tried.plugins["one"].scripts.extend([[ProviderAuthFailed("401")]] * 4)
    for _ in range(3):
        with pytest.raises(ProviderAuthFailed) as caught:
            await tried.ask("one")
        assert caught.value.status == 502

    alerts = [line for line in logged if line.get("security_event") == "provider_key_refused"]
    assert [(line["provider"], line["key"], line["keys"]) for line in alerts] == [("one", 1, 2), ("one", 2, 2)]
    assert not any(key.reveal()[:5] in repr(logged) for key in KEYS)
    shown = tried.gateway.metrics.render()[0].decode()
    assert 'orchestrator_security_events_total{event="provider_key_refused"} 2.0' in shown


async def test_keys_that_are_configured_anew_start_clean(start_tried: Any) -> None:
    tried = await start_tried(KEYS[:2])
    tried.plugins["one"].scripts.append([ProviderQuotaExhausted("402")])
    await tried.ask("one")

    tried.gateway.guards.keys.forget(KEYS[:2])
    await tried.ask("one")

    assert tried.credentials() == [KEYS[0], KEYS[1], KEYS[0]]


async def test_a_callers_own_key_is_used_alone_and_tells_nothing_of_the_servers(
    start_tried: Any, logged: list[Any]
) -> None:
    tried = await start_tried(KEYS[:2])
    own = Secret("the-callers-own-key")
    tried.plugins["one"].scripts.extend([[ProviderAuthFailed("401")], [LIMITED], [ProviderQuotaExhausted("402")]])
    for _ in range(3):
        request = ChatRequest(model="", messages=[text_message("user", "a")], deadline=tried.gateway.deadline(5))
        with pytest.raises(GatewayError):
            await tried.gateway.chat(ANONYMOUS, Selection(provider="one", credential=own), request)

    assert tried.credentials() == [own, own, own]
    assert [line for line in logged if "security_event" in line or line["event"] == "key rests"] == []
    await tried.ask("one")
    assert tried.credentials()[-1] == KEYS[0]

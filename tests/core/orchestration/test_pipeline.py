"""Retry and fallback, seen from outside: who was asked how often, and what the caller got."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from fake_providers.scripted import answer
from orchestrator_core.config.grants import Grant
from orchestrator_core.orchestration import Selection
from orchestrator_core.orchestration.routing import Router
from orchestrator_core.plugins import QuarantinedPlugin, Registry
from orchestrator_core.provider_api import (
    ChatRequest,
    DeadlineExceeded,
    EmbeddingRequest,
    Finish,
    GatewayError,
    NotFound,
    PermissionDenied,
    PluginError,
    ProviderAuthFailed,
    ProviderBadResponse,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    ProviderUnreachable,
    Secret,
    Start,
    TextDelta,
    one_by_one,
    text_message,
)
from orchestrator_core.security.principal import ANONYMOUS, Principal
from orchestrator_core.telemetry.cost import Prices

ASK = [text_message("user", "ping")]
FALLBACK = Selection(provider="one", fallbacks=("two",))
ALONE = Selection(provider="one", fallbacks=())


def request(bench: Any, timeout: float = 10) -> ChatRequest:
    return ChatRequest(model="", messages=ASK, deadline=bench.gateway.deadline(timeout))


def asked(bench: Any) -> tuple[int, int]:
    return len(bench.one.requests), len(bench.two.requests)


async def test_a_healthy_provider_is_asked_once(start: Any) -> None:
    bench = await start()

    opened = await bench.gateway.chat(ANONYMOUS, FALLBACK, request(bench))
    response = await opened.response()

    assert response.message.text == "pong"
    assert asked(bench) == (1, 0)
    assert (opened.provider, opened.model, [a.error for a in opened.attempts]) == ("one", "scripted-1", [None])
    assert opened.usage is not None


FAILURES = [
    (ProviderFailed("500"), True),
    (ProviderUnavailable("503"), True),
    (ProviderUnreachable("reset"), True),
    (ProviderBadResponse("not json"), True),
    (ProviderRateLimited("429"), True),
    (ProviderTimeout("slow"), False),
    (ProviderAuthFailed("401"), False),
    (ProviderQuotaExhausted("no money"), False),
    (PluginError("broken"), False),
]


@pytest.mark.parametrize(("error", "_"), FAILURES, ids=lambda value: getattr(value, "code", ""))
async def test_with_a_fallback_left_it_is_asked_at_once(start: Any, error: GatewayError, _: bool) -> None:
    bench = await start()
    bench.one.scripts.append([error])

    opened = await bench.gateway.chat(ANONYMOUS, FALLBACK, request(bench))

    assert opened.provider == "two"
    assert asked(bench) == (1, 1)
    assert [(a.provider, a.error) for a in opened.attempts] == [("one", error.code), ("two", None)]
    await opened.aclose()


@pytest.mark.parametrize(("error", "retried"), FAILURES, ids=lambda value: getattr(value, "code", ""))
async def test_the_last_provider_is_asked_once_more_where_that_may_help(
    start: Any, error: GatewayError, retried: bool
) -> None:
    bench = await start()
    bench.one.scripts.append([error])

    if retried:
        opened = await bench.gateway.chat(ANONYMOUS, ALONE, request(bench))
        assert (await opened.response()).message.text == "pong"
    else:
        with pytest.raises(type(error)):
            await bench.gateway.chat(ANONYMOUS, ALONE, request(bench))
    assert asked(bench) == (2 if retried else 1, 0)


async def test_a_refusal_of_the_request_is_neither_retried_nor_sent_elsewhere(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([ProviderRefused("bad parameter", param="top_k")])

    with pytest.raises(ProviderRefused) as caught:
        await bench.gateway.chat(ANONYMOUS, FALLBACK, request(bench))

    assert asked(bench) == (1, 0)
    assert (caught.value.provider, caught.value.param) == ("one", "top_k")


@pytest.mark.parametrize(("selection", "calls"), [(FALLBACK, (1, 2)), (ALONE, (2, 0))])
async def test_no_more_than_two_tries_a_provider_and_three_a_request(
    start: Any, selection: Selection, calls: tuple[int, int]
) -> None:
    bench = await start()
    bench.one.scripts.extend([[ProviderFailed("no")]] * 9)
    bench.two.scripts.extend([[ProviderFailed("no")]] * 9)

    with pytest.raises(ProviderFailed):
        await bench.gateway.chat(ANONYMOUS, selection, request(bench))

    assert asked(bench) == calls


async def test_a_wait_that_does_not_fit_the_deadline_is_not_waited_for(start: Any) -> None:
    bench = await start()
    bench.one.scripts.extend([[ProviderRateLimited("slow down", retry_after=60.0)]] * 2)
    began = time.monotonic()

    with pytest.raises(ProviderRateLimited) as caught:
        await bench.gateway.chat(ANONYMOUS, ALONE, request(bench, timeout=2))

    assert time.monotonic() - began < 2
    assert caught.value.retry_after == 60.0


async def test_a_long_wait_is_left_to_the_client(start: Any) -> None:
    bench = await start()
    bench.one.scripts.extend([[ProviderRateLimited("slow down", retry_after=34.4)]] * 2)

    with pytest.raises(ProviderRateLimited) as caught:
        await asyncio.wait_for(bench.gateway.chat(ANONYMOUS, ALONE, request(bench, timeout=600)), 2)

    assert asked(bench) == (1, 0)
    assert caught.value.retry_after == 34.4


async def test_at_the_end_the_smallest_wait_is_told(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([ProviderRateLimited("a", retry_after=30.0)])
    bench.two.scripts.append([ProviderRateLimited("b", retry_after=50.0)])

    with pytest.raises(ProviderRateLimited) as caught:
        await bench.gateway.chat(ANONYMOUS, FALLBACK, request(bench, timeout=5))

    assert caught.value.retry_after == 30.0


async def test_after_the_first_content_nothing_is_tried_again(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([Start(), TextDelta(text="half"), ProviderFailed("cut")])

    opened = await bench.gateway.chat(ANONYMOUS, FALLBACK, request(bench))
    with pytest.raises(ProviderFailed):
        await opened.response()

    assert asked(bench) == (1, 0)
    assert opened.folded.message.text == "half"


async def test_an_answer_without_a_finish_is_no_clean_end(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([Start(), TextDelta(text="half")])

    opened = await bench.gateway.chat(ANONYMOUS, ALONE, request(bench))
    with pytest.raises(ProviderBadResponse):
        await opened.response()


async def test_a_callers_own_key_is_used_alone_and_nowhere_else(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([ProviderAuthFailed("401")])
    own = Secret("the-callers-own-key")

    with pytest.raises(ProviderAuthFailed) as caught:
        await bench.gateway.chat(
            ANONYMOUS, Selection(provider="one", fallbacks=("two",), credential=own), request(bench)
        )

    assert caught.value.status == 401
    assert asked(bench) == (1, 0)
    assert bench.one.requests[0].credential == own


async def test_a_fallback_never_leaves_what_the_caller_may_use(start: Any) -> None:
    bench = await start()
    caller = Principal(id="c", tenant="t", grant=Grant(providers=frozenset({"one"})))
    bench.one.scripts.append([ProviderAuthFailed("401")])

    with pytest.raises(ProviderAuthFailed):
        await bench.gateway.chat(caller, FALLBACK, request(bench))
    with pytest.raises(PermissionDenied):
        await bench.gateway.chat(caller, Selection(provider="two"), request(bench))
    assert asked(bench) == (1, 0)


async def test_the_configured_chain_holds_where_the_request_names_none(start: Any) -> None:
    bench = await start(ORCHESTRATOR_FALLBACKS="missing/m,two/other-model")
    bench.one.scripts.append([ProviderFailed("no")])

    opened = await bench.gateway.chat(ANONYMOUS, Selection(provider="one"), request(bench))

    assert (opened.provider, bench.two.requests[0].model) == ("two", "other-model")
    await opened.aclose()


async def test_an_unknown_fallback_of_a_request_is_an_error(start: Any) -> None:
    bench = await start()

    with pytest.raises(NotFound):
        await bench.gateway.chat(ANONYMOUS, Selection(provider="one", fallbacks=("tow",)), request(bench))
    assert asked(bench) == (0, 0)


async def test_giving_up_closes_the_call(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([Start(), TextDelta(text="a"), 30.0, Finish()])

    opened = await bench.gateway.chat(ANONYMOUS, ALONE, request(bench))
    async with aclosing(one_by_one(opened.batches())) as events:
        await anext(events)
    await opened.aclose()

    assert bench.one.open == 0


async def test_embeddings_go_the_same_way(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([ProviderFailed("no")])
    embedding = EmbeddingRequest(model="", input=["a", "b"], deadline=bench.gateway.deadline(5))

    result = await bench.gateway.embed(ANONYMOUS, FALLBACK, embedding)

    assert result.provider == "two"
    assert len(result.response.vectors) == 2
    assert bench.two.requests[0].model == "scripted-embed"


async def test_every_try_is_counted(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([ProviderFailed("no")])
    bench.two.scripts.append(answer("pong"))

    opened = await bench.gateway.chat(ANONYMOUS, FALLBACK, request(bench))
    await opened.response()

    summary = bench.gateway.metrics.figures().providers
    assert (summary["one"]["requests"], summary["one"]["success_rate"]) == (1, 0.0)
    assert (summary["two"]["requests"], summary["two"]["success_rate"]) == (1, 1.0)


async def test_the_configured_chain_is_not_for_embeddings(start: Any) -> None:
    bench = await start(ORCHESTRATOR_FALLBACKS="two")
    bench.one.scripts.extend([[ProviderFailed("no")]] * 2)
    embedding = EmbeddingRequest(model="", input=["a"], deadline=bench.gateway.deadline(5))

    with pytest.raises(ProviderFailed):
        await bench.gateway.embed(ANONYMOUS, Selection(provider="one"), embedding)
    assert asked(bench) == (2, 0)


async def test_a_model_of_a_quarantined_plugin_says_so(start: Any) -> None:
    bench = await start()
    broken = QuarantinedPlugin(
        name="broken", distribution="orchestrator-broken", version="1", reason="it does not load"
    )
    registry = Registry(list(bench.gateway.registry.providers.values()), [broken])

    router = Router(bench.gateway.config.settings, registry, Prices())

    selection = router.select("broken/model")
    with pytest.raises(PluginError, match="does not load"):
        router.targets(ANONYMOUS, selection, "chat")
    fallback = replace(selection, fallbacks=("two",))
    assert [target.provider.id for target in router.targets(ANONYMOUS, fallback, "chat")] == ["two"]
    with pytest.raises(NotFound, match="provider/model"):
        router.select("nobody/model")


async def test_a_callers_key_is_forgotten_with_the_request(start: Any) -> None:
    bench = await start()
    for number in range(3):
        bench.one.scripts.append([ProviderQuotaExhausted("no money")])
        own = Selection(provider="one", credential=Secret(f"the-callers-key-{number}"))
        with pytest.raises(ProviderQuotaExhausted):
            await bench.gateway.chat(ANONYMOUS, own, request(bench))

    assert len(bench.gateway.guards.keys) == 0


async def test_time_that_is_up_before_anybody_is_asked_is_nobodys_fault(start: Any) -> None:
    bench = await start()

    with pytest.raises(DeadlineExceeded):
        await bench.gateway.chat(ANONYMOUS, FALLBACK, request(bench, timeout=1e-9))
    assert asked(bench) == (0, 0)

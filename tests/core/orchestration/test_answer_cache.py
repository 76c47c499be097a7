"""The cache of answers: what is kept, for whom, how much of it and for how long."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_providers.scripted import Step, answer
from orchestrator_core.config.grants import Grant
from orchestrator_core.orchestration import Selection
from orchestrator_core.orchestration.cache import AnswerCache, key_of, size_of_vectors
from orchestrator_core.orchestration.recording import Recording
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    GatewayError,
    NamedTool,
    ProviderFailed,
    ResponseFormat,
    Secret,
    Start,
    TextDelta,
    Tool,
    Usage,
    one_by_one,
    text_message,
)
from orchestrator_core.provider_api.native import NativeRequest
from orchestrator_core.security.principal import ANONYMOUS, Principal
from orchestrator_core.telemetry.metrics import Metrics

ONE = Selection(provider="one", fallbacks=())


def ask(**other: Any) -> ChatRequest:
    return replace(ChatRequest(model="", messages=[text_message("user", "ping")], deadline=Deadline.after(30)), **other)


@pytest.fixture
async def bench(start: Any) -> Any:
    return await start(ORCHESTRATOR_CACHE_TTL=60)


async def said(bench: Any, selection: Selection = ONE, who: Principal = ANONYMOUS, **other: Any) -> Any:
    opened = await bench.gateway.chat(who, selection, ask(**other))
    await opened.response()
    return opened


async def test_the_same_request_is_answered_again_without_a_call(bench: Any) -> None:
    first = await said(bench)
    second = await said(bench, request_id="another")
    assert len(bench.one.requests) == 1
    assert second.folded == first.folded
    assert (second.provider, second.model) == (first.provider, first.model)
    assert (second.attempts, second.cost, second.price_version) == ([], 0.0, "cache")
    assert second.usage.total == 0
    text = bench.gateway.metrics.render()[0].decode()
    assert 'orchestrator_cache_lookups_total{operation="chat",result="hit"} 1.0' in text
    assert 'orchestrator_cache_lookups_total{operation="chat",result="miss"} 1.0' in text
    assert 'orchestrator_attempts_total{operation="chat",outcome="ok",provider="one"} 1.0' in text


async def test_vectors_are_kept_too(bench: Any) -> None:
    request = EmbeddingRequest(model="", input=["a", "b"], deadline=Deadline.after(30))
    first = await bench.gateway.embed(ANONYMOUS, ONE, request)
    second = await bench.gateway.embed(ANONYMOUS, ONE, request)
    assert (second.response, second.cost, second.attempts) == (first.response, 0.0, [])
    await bench.gateway.embed(ANONYMOUS, ONE, replace(request, dimensions=5))
    assert len(bench.one.requests) == 2


OTHER: dict[str, Any] = {
    "messages": [text_message("user", "pong")],
    "stream": True,
    "strict": True,
    "tools": [Tool(name="f")],
    "tool_choice": NamedTool(name="f"),
    "parallel_tool_calls": False,
    "response_format": ResponseFormat(type="json_object"),
    "reasoning_effort": "low",
    "reasoning_budget": 1,
    "temperature": 0.0,
    "top_p": 0.5,
    "max_tokens": 1,
    "stop": ["x"],
    "seed": 0,
    "n": 1,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "extra": {"top_k": 1},
    "native": NativeRequest("openai.chat", {"top_k": 1}),
    "native_options": NativeRequest("openai.chat", {}, {"anthropic-beta": "x"}),
}


async def test_every_field_that_a_provider_sees_counts(bench: Any) -> None:
    target = bench.gateway.router.targets(ANONYMOUS, ONE, "chat")[0]
    unseen = {"model", "deadline", "credential", "request_id"}
    assert OTHER.keys() | unseen == {field.name for field in fields(ChatRequest)}, "a new field needs a value here"
    keys = [key_of("t", target, ask()), *(key_of("t", target, ask(**{name: value})) for name, value in OTHER.items())]
    keys += [key_of("other", target, ask()), key_of("t", replace(target, model="other"), ask())]
    assert len(set(keys)) == len(keys)
    assert key_of("t", target, ask(request_id="r", deadline=Deadline.after(1))) == keys[0]


async def test_no_tenant_is_given_what_another_one_asked(bench: Any) -> None:
    for tenant in ("a", "b"):
        await said(bench, who=Principal(id=tenant, tenant=tenant, grant=Grant()))
    assert len(bench.one.requests) == 2


async def test_keys_of_callers_own_have_nothing_to_do_with_it(bench: Any) -> None:
    own = replace(ONE, credential=Secret("a-key-of-the-callers-own"))
    await said(bench)
    for _ in range(2):
        await said(bench, own)
    assert len(bench.one.requests) == 3


async def test_a_caller_may_want_a_new_answer_or_leave_none(bench: Any) -> None:
    await said(bench, replace(ONE, cache="off"))
    bench.one.scripts.append(answer("old"))
    await said(bench)
    bench.one.scripts.append(answer("new"))
    await said(bench, replace(ONE, cache="renew"))
    assert len(bench.one.requests) == 3
    assert (await said(bench)).folded.message.text == "new"
    assert len(bench.one.requests) == 3


BROKEN: dict[str, list[Step]] = {
    "fails at once": [ProviderFailed("500")],
    "fails midway": [*answer("half")[:2], ProviderFailed("reset")],
    "ends without a finish": answer("half")[:2],
    "has a plugin that breaks": [*answer("half")[:2], RuntimeError("bug")],
    "fails after its finish": [*answer("whole"), ProviderFailed("late")],
}


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN)
async def test_an_answer_that_is_not_whole_is_not_kept(bench: Any, script: list[Step]) -> None:
    bench.one.scripts.extend([script, script])
    with pytest.raises(GatewayError):
        await said(bench)
    bench.one.scripts.clear()
    assert (await said(bench)).attempts != []


@pytest.mark.parametrize("events", range(4))
async def test_an_answer_that_its_client_left_is_not_kept(bench: Any, events: int) -> None:
    opened = await bench.gateway.chat(ANONYMOUS, ONE, ask())
    stream = one_by_one(opened.batches())
    for _ in range(events):
        await anext(stream)
    await stream.aclose()
    await opened.aclose()
    await said(bench)
    assert len(bench.one.requests) == 2


async def test_an_answer_of_a_fallback_is_kept_for_whoever_asks_that_one(bench: Any) -> None:
    bench.one.scripts.append([ProviderFailed("500")])
    both = replace(ONE, fallbacks=("two",))
    assert (await said(bench, both)).provider == "two"
    assert (await said(bench, both)).provider == "one", "whoever is well again is asked"
    assert (await said(bench, Selection(provider="two", fallbacks=()))).attempts == []


async def test_without_the_setting_nothing_is_kept(start: Any) -> None:
    bench = await start()
    await said(bench)
    await said(bench)
    assert len(bench.one.requests) == 2


def cache(ttl: float = 10.0, max_bytes: int = 800, clock: Callable[[], float] = lambda: 0.0) -> AnswerCache:
    return AnswerCache(ttl, max_bytes, Metrics(), clock)


EVENTS: list[ChatEvent] = [Start()]


def test_time_is_over_when_it_is() -> None:
    now = [0.0]
    short = cache(ttl=10, clock=lambda: now[0])
    short.put(b"a", EVENTS, 10)
    now[0] = 9.9
    assert short.get(b"a") is EVENTS
    now[0] = 10.0
    assert short.get(b"a") is None
    assert len(short) == 0


def test_what_was_asked_for_least_recently_goes_first_and_what_is_too_large_is_not_kept() -> None:
    full = cache(max_bytes=800)
    for key in b"abcdefgh":
        full.put(bytes([key]), EVENTS, 100)
    full.get(b"a")
    full.put(b"x", EVENTS, 100)
    assert full.get(b"b") is None
    assert full.get(b"a") is EVENTS
    full.put(b"a", EVENTS, 101)
    assert full.get(b"a") is None, "the old answer is not given in place of a newer one"


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.integers(0, 200)), max_size=30))
def test_bytes_are_bounded_and_counted(puts: list[tuple[bytes, int]]) -> None:
    bounded = cache(max_bytes=400)
    sizes: dict[bytes, int] = {}
    for key, size in puts:
        bounded.put(key, EVENTS, size)
        sizes[key] = size
    kept = sum(size for key, size in sizes.items() if bounded.get(key) is not None)
    assert kept <= 400
    assert f"orchestrator_cache_bytes {float(kept)}" in bounded._metrics.render()[0].decode()


@pytest.mark.parametrize("numbers", [1, 1536])
def test_the_bytes_of_vectors_are_about_what_they_take(numbers: int) -> None:
    large = cache(max_bytes=2**30)
    entries = 20_000 // numbers + 10
    tracemalloc.start()
    try:
        for number in range(entries):
            vectors = [[number + place / 7 for place in range(numbers)]]
            kept = EmbeddingResponse(model=f"m{number}", vectors=vectors, usage=Usage(number + 1000))
            large.put(f"{number:032}".encode(), kept, size_of_vectors(kept))
        taken = tracemalloc.get_traced_memory()[0] / entries
    finally:
        tracemalloc.stop()
    assert 0.7 < size_of_vectors(kept) / taken < 1.3


async def test_an_answer_that_grows_too_large_is_forgotten_while_it_passes() -> None:
    async def batches() -> Any:
        yield [Start()]
        for _ in range(100):
            yield [TextDelta(text="x" * 1000)]

    recording = Recording(10_000)
    assert len([events async for events in recording.listen(batches())]) == 101
    assert recording.events is None
    assert recording._events == []

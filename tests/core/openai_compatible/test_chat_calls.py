"""Calls over real sockets: what is sent, what comes back, and what must not."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from contextlib import aclosing
from typing import Any

import pytest

from fake_upstreams.behaviours import BEHAVIOURS, WELL
from fake_upstreams.behaviours import events as streams
from fake_upstreams.misbehaving import MisbehavingUpstream
from fake_upstreams.openai_calls import ask, events_of, folded
from fake_upstreams.openai_server import OpenAIServer, chunk, completion, usage_chunk
from orchestrator_core.openai_compatible import OpenAICompatibleProvider
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ChatEvent,
    ChatRequest,
    ContentBlocked,
    ContextTooLong,
    Deadline,
    Finish,
    GatewayError,
    NativeRequest,
    ProviderAuthFailed,
    ProviderBadResponse,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnavailable,
    Secret,
    Start,
    TextDelta,
    Usage,
    UsageReport,
    one_by_one,
    text_message,
)

CHUNKS = [
    chunk(role="assistant", content=""),
    chunk(content="Hel"),
    chunk(content="lo"),
    chunk(finish="stop"),
    usage_chunk(),
]


async def note_events(provider: OpenAICompatibleProvider, seen: list[ChatEvent]) -> None:
    """Keep the events of a stream that come before its error."""
    async for event in one_by_one(provider.chat(request=ask(stream=True))):
        seen.append(event)  # noqa: PERF401 - a comprehension would lose them with the error


def native(**body: Any) -> NativeRequest:
    return NativeRequest(OPENAI_CHAT, {"model": "tested/gpt-test", "messages": [], **body})


async def test_a_whole_answer(server: OpenAIServer, make_provider: Any) -> None:
    server.answers(completion("Hi é 世界"))
    events = await events_of(make_provider(), ask(credential=Secret("sk-test-0123456789")))
    assert events == [
        Start(id="chatcmpl-1", model="gpt-test", created=1700000000),
        TextDelta(text="Hi é 世界"),
        Finish(reason="stop", native_reason="stop"),
        UsageReport(usage=Usage(input_tokens=5, output_tokens=3)),
    ]
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == "Bearer sk-test-0123456789"
    assert asked.headers["content-type"] == "application/json"
    assert asked.body == {"model": "gpt-test", "messages": [{"role": "user", "content": "Hello"}]}


async def test_a_stream(server: OpenAIServer, make_provider: Any) -> None:
    server.streams(CHUNKS)
    events = await events_of(make_provider(), ask(stream=True))
    assert events == [
        Start(id="chatcmpl-1", model="gpt-test", created=1700000000),
        TextDelta(text="Hel"),
        TextDelta(text="lo"),
        Finish(reason="stop", native_reason="stop"),
        UsageReport(usage=Usage(input_tokens=5, output_tokens=3)),
    ]
    assert server.body["stream"] is True
    assert server.body["stream_options"] == {"include_usage": True}


async def test_what_was_sent_is_not_kept_while_the_answer_streams(server: OpenAIServer, make_provider: Any) -> None:
    server.streams(CHUNKS)
    size = 2**19
    request = ask(stream=True, messages=[text_message("user", "x" * size)])
    tracemalloc.start()
    try:
        async with aclosing(make_provider().chat(request=request)) as answered:
            await anext(answered)
            kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 3.2 * size, "the server, in this process, has 2.7 of it"


async def test_a_whole_answer_comes_at_once(server: OpenAIServer, make_provider: Any) -> None:
    server.answers(completion("Hi"))
    batches = [given async for given in make_provider().chat(request=ask())]
    assert [[type(event) for event in events] for events in batches] == [[Start, TextDelta, Finish, UsageReport]]


async def test_what_came_together_is_given_together_and_what_came_before_an_error_before_it(
    server: OpenAIServer, make_provider: Any
) -> None:
    server.streams([*CHUNKS[:2], {**chunk(), "error": {"message": "busy", "code": 503}}], done=False)
    async with aclosing(make_provider().chat(request=ask(stream=True))) as batches:
        given = [event for events in [await anext(batches)] for event in events]
        with pytest.raises(ProviderUnavailable):
            given += [event async for events in batches for event in events]
    assert [type(event) for event in given] == [Start, TextDelta]


async def test_a_native_stream_keeps_every_byte(server: OpenAIServer, make_provider: Any) -> None:
    unknown = {**chunk(), "obfuscation": "zz", "choices": [{"index": 0, "delta": {}, "logprobs": {"content": []}}]}
    chunks = [*CHUNKS[:2], unknown, *CHUNKS[2:]]
    server.streams(chunks)
    events = await events_of(make_provider(), ask(stream=True, native=native()))
    carried = [event.native for event in events if event.native is not None]
    assert [data for event in carried for data in (event.data, *event.more)] == [
        json.dumps(c, ensure_ascii=False).encode() for c in chunks
    ]
    assert {event.dialect for event in carried} == {OPENAI_CHAT}
    assert isinstance(events[0], Start)
    assert events[0].native is not None
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hel"]  # what follows is the client's
    assert isinstance(events[-1], UsageReport)
    assert events[-1].native is not None


async def test_a_native_request_keeps_what_nobody_knows(server: OpenAIServer, make_provider: Any) -> None:
    body = {
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi", "x": 1}],
        "logit_bias": {"50256": -100},
        "next_years_field": [1, 2],
        "stream": True,
        "stream_options": {"include_obfuscation": False},
    }
    said = [text_message("system", "Be brief."), text_message("user", "Hi")]
    server.streams(CHUNKS)
    await events_of(make_provider(), ask(said, stream=True, native=native(**body)))
    assert server.body == {
        **body,
        "model": "gpt-test",
        "stream_options": {"include_obfuscation": False, "include_usage": True},
    }


async def test_a_native_whole_answer_travels_with_the_start(server: OpenAIServer, make_provider: Any) -> None:
    answer = completion(annotations=[{"type": "url_citation"}])
    server.answers(answer)
    events = await events_of(make_provider(), ask(native=native()))
    assert events[0].native is not None
    answer["choices"][0]["message"]["extra_content"] = {"tested": {"fields": ["annotations"]}}
    assert json.loads(events[0].native.data) == answer


async def test_several_choices_stream_side_by_side(server: OpenAIServer, make_provider: Any) -> None:
    chunks = [chunk(1, content="b"), chunk(0, content="a"), chunk(1, "stop"), chunk(0, "length")]
    server.streams(chunks, done=False)
    answer = await folded(make_provider(), ask(stream=True, n=2))
    assert [(c.index, c.message.text, c.finish_reason) for c in answer.choices] == [
        (0, "a", "length"),
        (1, "b", "stop"),
    ]


async def test_a_stream_without_the_choices_asked_for_was_cut(server: OpenAIServer, make_provider: Any) -> None:
    server.streams([chunk(0, content="a"), chunk(0, "stop")], done=False)
    with pytest.raises(ProviderBadResponse, match="ended before"):
        await events_of(make_provider(), ask(stream=True, n=2))


async def test_a_refused_request_raises_before_any_event(server: OpenAIServer, make_provider: Any) -> None:
    error = {"message": "bad temperature", "type": "invalid_request_error", "param": "temperature", "code": "invalid"}
    for stream in (False, True):
        server.answers({"error": error}, 400)
        with pytest.raises(ProviderRefused, match=r"^bad temperature$") as caught:
            await events_of(make_provider(), ask(stream=stream))
        assert (caught.value.param, caught.value.upstream_code) == ("temperature", "invalid")


async def test_a_retired_model_is_answered_with_its_successor(server: OpenAIServer, make_provider: Any) -> None:
    server.answers({"error": {"message": "The model does not exist.", "code": "model_not_found"}}, 404)
    with pytest.raises(ProviderRefused, match=r"does not exist.*use gpt-new") as caught:
        await events_of(make_provider(), ask(model="gpt-old"))
    assert caught.value.status == 404


async def test_closing_the_events_closes_the_call(make_provider: Any) -> None:
    async with MisbehavingUpstream() as upstream:
        provider = make_provider(base_url=upstream.base_url("sse-endless"))
        async with aclosing(one_by_one(provider.chat(request=ask(stream=True)))) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        for _ in range(200):
            if upstream.cancelled["sse-endless"]:
                break
            await asyncio.sleep(0.01)
        assert upstream.cancelled["sse-endless"] == 1


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("http-400", ProviderRefused),
        ("http-401", ProviderAuthFailed),
        ("http-404", ProviderRefused),
        ("http-500", ProviderFailed),
        ("http-502", ProviderFailed),
        ("http-503", ProviderUnavailable),
        ("http-529", ProviderUnavailable),
        ("html-502", ProviderFailed),
        ("rate-limit", ProviderRateLimited),
        ("quota", ProviderQuotaExhausted),
        ("json-invalid", ProviderBadResponse),
        ("json-array", ProviderBadResponse),
        ("json-truncated", ProviderBadResponse),
        ("json-null-fields", ProviderBadResponse),
        ("no-choices", ProviderBadResponse),
        ("error-200", ProviderBadResponse),
        ("html-200", ProviderBadResponse),
        ("empty", ProviderBadResponse),
        ("status-204", ProviderBadResponse),
        ("wrong-type", ProviderBadResponse),
        ("not-utf8", ProviderBadResponse),
    ],
)
async def test_a_faulty_whole_answer(make_provider: Any, behaviour: str, kind: type[GatewayError]) -> None:
    async with MisbehavingUpstream() as upstream:
        with pytest.raises(GatewayError) as caught:
            await events_of(make_provider(base_url=upstream.base_url(behaviour)), ask())
    assert type(caught.value) is kind
    assert "<" not in caught.value.message
    assert caught.value.retry_after == (2.0 if behaviour == "rate-limit" else 1.0 if behaviour == "http-503" else None)


@pytest.mark.parametrize(
    ("behaviour", "kind", "text"),
    [
        ("sse-cut", ProviderBadResponse, True),
        ("sse-cut-reset", ProviderFailed, True),
        ("sse-no-finish", ProviderBadResponse, True),
        ("sse-error", ProviderFailed, True),
        ("sse-error-event", ProviderFailed, True),
        ("sse-error-first", ProviderFailed, False),
        ("sse-bad-json", ProviderBadResponse, True),
        ("sse-json", ProviderBadResponse, False),
        ("http-500", ProviderFailed, False),
        ("html-200", ProviderBadResponse, False),
        ("error-200", ProviderFailed, False),
        ("empty", ProviderBadResponse, False),
    ],
)
async def test_a_faulty_stream(make_provider: Any, behaviour: str, kind: type[GatewayError], text: bool) -> None:
    seen: list[ChatEvent] = []
    async with MisbehavingUpstream() as upstream:
        provider = make_provider(base_url=upstream.base_url(behaviour))
        with pytest.raises(GatewayError) as caught:
            await note_events(provider, seen)
    assert isinstance(caught.value, kind)
    assert any(isinstance(event, TextDelta) for event in seen) is text
    assert bool(seen) is text
    assert not any(isinstance(event, Finish) for event in seen)


@pytest.mark.parametrize(
    "behaviour",
    [
        "ok",
        "sse-no-done",
        "sse-comments",
        "sse-crlf",
        "sse-cr",
        "sse-multiline",
        "sse-nospace",
        "sse-fields",
        "sse-bom",
        "sse-split-utf8",
        "sse-one-segment",
        "sse-after-done",
        "sse-empty-choices",
        "sse-usage",
        "sse-until-close",
    ],
)
async def test_an_odd_but_right_stream(make_provider: Any, behaviour: str) -> None:
    async with MisbehavingUpstream() as upstream:
        answer = await folded(make_provider(base_url=upstream.base_url(behaviour)), ask(stream=True))
    assert answer.message.text == "pong é 世界 \U0001f600"
    assert answer.complete


async def test_the_words_of_errors_decide_in_streams_too(server: OpenAIServer, make_provider: Any) -> None:
    cases: list[tuple[dict[str, Any], type[GatewayError]]] = [
        ({"message": "no", "code": "context_length_exceeded"}, ContextTooLong),
        ({"message": "no", "code": "insufficient_quota"}, ProviderQuotaExhausted),
        ({"message": "no", "code": "content_filter"}, ContentBlocked),
        ({"message": "no", "type": "rate_limit_error"}, ProviderRateLimited),
        ({"message": "no", "code": 429}, ProviderRateLimited),
        ({"message": "no", "type": "overloaded_error"}, ProviderUnavailable),
        ({"message": "no", "code": "tool_use_failed", "status_code": 400}, ProviderRefused),
        ({"message": "secret host", "code": 502}, ProviderFailed),
    ]
    for error, kind in cases:
        server.streams([CHUNKS[1], {**chunk(), "error": error}], done=False)
        with pytest.raises(GatewayError) as caught:
            await events_of(make_provider(), ask(stream=True))
        assert type(caught.value) is kind, error
        assert "secret host" not in caught.value.message


async def test_what_breaks_after_the_last_finish_costs_nothing(
    make_provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BEHAVIOURS, "sse-finished-then-reset", BEHAVIOURS["ok"])  # taken back after the test
    streams("sse-finished-then-reset", WELL[:-1], end="reset")
    async with MisbehavingUpstream() as upstream:
        provider = make_provider(base_url=upstream.base_url("sse-finished-then-reset"))
        answer = await folded(provider, ask(stream=True))
    assert answer.complete


async def test_the_key_is_not_in_an_error(make_provider: Any) -> None:
    async with MisbehavingUpstream() as upstream:
        provider = make_provider(base_url=upstream.base_url("echo-key"))
        request = ChatRequest(
            model="m", messages=ask().messages, deadline=Deadline.after(5), credential=Secret("sk-CANARY-0123456789abc")
        )
        with pytest.raises(GatewayError) as caught:
            await events_of(provider, request)
    assert "CANARY" not in str(caught.value)

"""Answers, whole and streamed, errors, pauses, health and the card."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import date
from importlib.metadata import entry_points
from typing import Any

import pytest

from fake_upstreams.anthropic_calls import KEY, ask, events_of, fold, folded, provider_at
from fake_upstreams.openai_server import OpenAIServer
from fake_upstreams.strict_anthropic import StrictAnthropic, answer, events, signature
from orchestrator_anthropic import AnthropicProvider
from orchestrator_anthropic.parse import MessageParser
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    ContextTooLong,
    Deadline,
    Finish,
    HealthRequest,
    NativeOnly,
    NativeRequest,
    OpaquePart,
    Part,
    ProviderAuthFailed,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnavailable,
    ReasoningPart,
    RefusalPart,
    Secret,
    Start,
    TextPart,
    ToolCallPart,
    Usage,
    WholePart,
    check_key,
    text_message,
)

CONTENT = [
    {"type": "thinking", "thinking": "Two cities.", "signature": signature("a")},
    {"type": "redacted_thinking", "data": signature("b")},
    {"type": "text", "text": "Let me look. "},
    {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "weather"}},
    {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"type": "web_search_result", "url": "u"}]},
    {"type": "text", "text": "It rains.", "citations": [{"type": "char_location", "cited_text": "rain"}]},
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
    {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}, "caller": {"type": "direct"}},
    {"type": "text", "text": ""},
]
PARTS = (
    ReasoningPart(text="Two cities.", provider_metadata={"anthropic": {"signature": signature("a")}}),
    ReasoningPart(provider_metadata={"anthropic": {"redacted": signature("b")}}),
    TextPart(text="Let me look. "),
    OpaquePart(provider_metadata={"anthropic": {"block": CONTENT[3]}}),
    OpaquePart(provider_metadata={"anthropic": {"block": CONTENT[4]}}),
    TextPart(text="It rains.", provider_metadata={"anthropic": {"citations": CONTENT[5]["citations"]}}),
    ToolCallPart(id="toolu_1", name="weather", arguments='{"city": "Paris"}'),
    ToolCallPart(
        id="toolu_2", name="weather", arguments="{}", provider_metadata={"anthropic": {"caller": {"type": "direct"}}}
    ),
)
SEARCH = {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}

NATIVE = {"max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
async def strict() -> AsyncIterator[StrictAnthropic]:
    async with StrictAnthropic() as running:
        yield running


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:  # nothing in it is OpenAI's but the name: it gives any bytes
        yield running


def respelt(part: Part) -> Part:
    """A call with its JSON in one spelling."""
    if not isinstance(part, ToolCallPart):
        return part
    return part.model_copy(update={"arguments": json.dumps(json.loads(part.arguments))})


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_with_everything(strict: StrictAnthropic, stream: bool) -> None:
    message = answer(CONTENT, "tool_use")
    strict.answers.append(events(message) if stream else message)
    async with provider_at(strict.url) as provider:
        response = await folded(provider, ask(stream=stream))
    assert tuple(map(respelt, response.message.parts)) == PARTS
    assert (response.id, response.model, response.complete) == ("msg_1", "claude-sonnet-5-5", True)
    assert response.choices[0].finish_reason == "tool_calls"
    assert response.usage == Usage(10, 5, 3, 8, 12)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("compaction", "length"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_stop_reasons(strict: StrictAnthropic, theirs: str, ours: str, stream: bool) -> None:
    message = answer([], theirs)  # no block at all
    strict.answers.append(events(message) if stream else message)
    async with provider_at(strict.url) as provider:
        response = await folded(provider, ask(stream=stream))
    (choice,) = response.choices
    assert (choice.finish_reason, choice.native_finish_reason, choice.message.parts) == (ours, theirs, ())


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_says_why(strict: StrictAnthropic, stream: bool) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not this."}
    message = {**answer([{"type": "text", "text": "I"}], "refusal"), "stop_details": details}
    strict.answers.append(events(message) if stream else message)
    async with provider_at(strict.url) as provider:
        response = await folded(provider, ask(stream=stream))
    assert response.message.parts == (TextPart(text="I"), RefusalPart(text="Not this."))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_pause_is_sent_again(strict: StrictAnthropic, stream: bool) -> None:
    rounds = [answer(CONTENT[2:5], "pause_turn"), answer([{"type": "text", "text": "Rain."}])]
    strict.answers.extend(events(each) if stream else each for each in rounds)
    async with provider_at(strict.url) as provider:
        response = await folded(provider, ask(extra=SEARCH, stream=stream))
    assert [part.type for part in response.message.parts] == ["text", "opaque", "opaque", "text"]
    assert response.message.text == "Let me look. Rain."
    assert response.choices[0].finish_reason == "stop"
    assert response.usage == Usage(20, 10, 6, 16, 24)
    first, second = (asked.body for asked in strict.asked)
    said = {"role": "assistant", "content": CONTENT[2:5]}
    assert second == {**first, "messages": [*first["messages"], said]}


async def test_pauses_have_an_end(strict: StrictAnthropic) -> None:
    strict.answers.extend([answer(CONTENT[3:5], "pause_turn")] * 20)
    async with provider_at(strict.url) as provider:
        response = await folded(provider, ask(extra=SEARCH))
    assert len(strict.asked) == 8
    assert response.choices[0].finish_reason == "length"


@pytest.mark.parametrize("extra", [{}, {"native": NativeRequest(ANTHROPIC_MESSAGES, {**NATIVE, **SEARCH})}])
async def test_a_pause_that_is_not_ours_to_end(strict: StrictAnthropic, extra: Any) -> None:
    strict.answers.append(answer([{"type": "text", "text": "Wait"}], "pause_turn"))
    async with provider_at(strict.url) as provider:
        response = await folded(provider, ask(**extra))
    assert len(strict.asked) == 1
    assert response.choices[0].native_finish_reason == "pause_turn"


async def test_a_client_of_its_dialect_gets_every_byte(strict: StrictAnthropic) -> None:
    wire = events({**answer(CONTENT, "tool_use"), "new_field": 1})
    strict.answers.append(wire)
    async with provider_at(strict.url) as provider:
        found = await events_of(provider, ask(native=NativeRequest(ANTHROPIC_MESSAGES, NATIVE), stream=True))
    native = [event.native for event in found if event.native is not None]
    assert [json.loads(each.data) for each in native] == wire
    assert [each.event for each in native] == [each["type"] for each in wire]
    assert {each.dialect for each in native} == {ANTHROPIC_MESSAGES}
    assert isinstance(found[0], Start)
    assert any(isinstance(event, NativeOnly) for event in found)
    assert isinstance(found[-1], Finish)


async def test_other_clients_get_no_bytes(strict: StrictAnthropic) -> None:
    async with provider_at(strict.url) as provider:
        for stream in (False, True):
            assert all(event.native is None for event in await events_of(provider, ask(stream=stream)))


def test_a_call_that_was_cut_off_is_kept_as_it_was_written() -> None:
    parser = MessageParser("anthropic", resumes=True)
    block = {"type": "tool_use", "id": "t", "name": "n", "input": {}}
    for event in (
        {"type": "message_start", "message": {"id": "m", "model": "x", "usage": {}}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a": '}},
        {"type": "content_block_stop", "index": 0},
        {"type": "something_new"},
    ):
        parser.event(json.dumps(event).encode())
    assert parser.content == [{**block, "input": {"INVALID_JSON": '{"a": '}}]


def test_blocks_of_a_kind_that_nobody_knows_are_kept_whole() -> None:
    parser = MessageParser("anthropic")
    events = []
    for event in (
        {"type": "message_start", "message": {"id": "m", "model": "x", "usage": {}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "compaction", "content": None}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "compaction_delta", "content": "So "}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "compaction_delta", "content": "far."}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_stop", "index": 0},
    ):
        events += parser.event(json.dumps(event).encode())
    (whole,) = [event for event in events if isinstance(event, WholePart)]
    block = {"type": "compaction", "content": "So far."}
    assert whole.part == OpaquePart(provider_metadata={"anthropic": {"block": block}})


def streamed(*wire: Any, native: bool = False) -> list[Any]:
    """The events of a stream of one block, given as its start and its deltas."""
    block, *deltas = wire
    parser = MessageParser("anthropic", native=native)
    found = []
    for event in (
        {"type": "message_start", "message": {"id": "m", "model": "x", "usage": None, "container": None}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "something_new", "field": {"a": [None]}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": None},
        {"type": "message_stop"},
    ):
        found += parser.event(json.dumps(event).encode())
    assert isinstance(found[-1], Finish)
    return found


def of(events: list[Any]) -> Any:
    """The one part that events make."""
    (part,) = fold(events).message.parts
    return part


ODD: list[Any] = [None, 1, True, ["a"], {"a": [None]}, []]


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("value", ODD)
def test_a_delta_of_a_new_kind_never_ends_an_answer(value: Any, native: bool) -> None:
    delta = {"type": "new_delta", "new": value}
    text = of(streamed({"type": "text", "text": ""}, {"type": "text_delta", "text": "Hi"}, delta, native=native))
    assert text == TextPart(text="Hi", provider_metadata={"anthropic": {"deltas": [delta]}})
    call = {"type": "tool_use", "id": "t", "name": "n", "input": {}}
    assert of(streamed(call, delta, native=native)).provider_metadata == {"anthropic": {"deltas": [delta]}}
    thought = of(streamed({"type": "thinking", "thinking": "So", "signature": ""}, delta, delta, native=native))
    assert thought == ReasoningPart(text="So", provider_metadata={"anthropic": {"deltas": [delta, delta]}})
    kept = of(streamed({"type": "new_block"}, delta, native=native)).provider_metadata["anthropic"]["block"]
    assert kept == ({"type": "new_block"} if value is None else {"type": "new_block", "new": value})


MALFORMED: list[Any] = [
    None,
    1,
    "text",
    [],
    {},
    {"type": None},
    *({"type": kind} for kind in ("text_delta", "thinking_delta", "input_json_delta", "signature_delta")),
    *({"type": "text_delta", "text": value} for value in ODD if value is not None),
    *({"type": "thinking_delta", "thinking": value} for value in ODD if value is not None),
    *({"type": "input_json_delta", "partial_json": value} for value in ODD if value is not None),
]


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("delta", MALFORMED)
def test_a_malformed_delta_never_ends_an_answer(delta: Any, native: bool) -> None:
    noted = {"anthropic": {"deltas": [delta]}}
    begun, rest = {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hi"}
    assert of(streamed(begun, delta, rest, native=native)) == TextPart(text="Hi", provider_metadata=noted)
    thought = of(streamed({"type": "thinking", "thinking": "So", "signature": ""}, delta, native=native))
    assert thought == ReasoningPart(text="So", provider_metadata=noted)
    call = {"type": "tool_use", "id": "t", "name": "n", "input": {}}
    rest = {"type": "input_json_delta", "partial_json": '{"a":1}'}
    made = of(streamed(call, delta, rest, native=native))
    assert (made.arguments, made.provider_metadata) == ('{"a":1}', noted)


@pytest.mark.parametrize("delta", [each for each in MALFORMED if not each or "_delta" in str(each)])
def test_a_malformed_delta_leaves_a_block_of_a_new_kind_as_it_is(delta: Any) -> None:
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    rest = {"type": "input_json_delta", "partial_json": '{"a":1}'}
    noted = of(streamed(block, delta, rest)).provider_metadata["anthropic"]
    assert noted["block"] == {**block, "input": {"a": 1}}


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("begun", [None, 1, [], {"new": 1}, {"type": None}, {"type": "text", "text": {"a": 1}}])
def test_a_block_that_does_not_say_what_it_is_goes_on_as_text(begun: Any, native: bool) -> None:
    noted = {"anthropic": {"deltas": [begun]}}
    text = of(streamed(begun, {"type": "text_delta", "text": "Hi"}, native=native))
    assert text == TextPart(text="Hi", provider_metadata=noted)


def test_deltas_of_a_new_kind_of_block_add_up() -> None:
    deltas = [
        {"type": "d", "text": "a", "list": [1], "count": 1, "late": {"a": 1}, "turns": [1]},
        {"type": "d", "text": "b", "list": [2], "count": 2, "late": "b", "turns": "text"},
    ]
    block = of(streamed({"type": "new_block", "text": None}, *deltas)).provider_metadata["anthropic"]["block"]
    assert block == {"type": "new_block", "text": "ab", "list": [1, 2], "count": 2, "late": "b", "turns": "text"}


def test_a_summary_that_failed_is_kept() -> None:
    delta = {"type": "compaction_delta", "content": None, "encrypted_content": None}
    part = of(streamed({"type": "compaction", "content": None}, delta))
    assert part.provider_metadata == {"anthropic": {"block": {"type": "compaction", "content": None}}}
    delta = {"type": "compaction_delta", "content": "So far.", "encrypted_content": "E"}
    part = of(streamed({"type": "compaction", "content": None}, delta))
    block = {"type": "compaction", "content": "So far.", "encrypted_content": "E"}
    assert part.provider_metadata == {"anthropic": {"block": block}}


async def test_fields_of_blocks_that_nobody_knows_go_back(strict: StrictAnthropic) -> None:
    thought = {"type": "thinking", "thinking": "Hm", "signature": signature("a"), "new": {"a": 1}}
    hidden = {"type": "redacted_thinking", "data": signature("b"), "new": 0}
    strict.answers.append(answer([thought, hidden, {"type": "text", "text": "Hi"}]))
    async with provider_at(strict.url) as provider:
        said = (await folded(provider, ask())).message
        await folded(provider, ask((text_message("user", "Hello"), said, text_message("user", "Go on"))))
    assert strict.asked[-1].body["messages"][1]["content"][:2] == [thought, hidden]


@pytest.mark.parametrize("value", [None, [], {}, 1, "text", [None], {"a": None}])
@pytest.mark.parametrize(
    "name", ["usage", "stop_reason", "stop_details", "stop_sequence", "container", "context_management", "id", "model"]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_any_value_in_a_place_beside_the_content(
    strict: StrictAnthropic, name: str, value: Any, stream: bool
) -> None:
    message = {**answer([{"type": "text", "text": "Hi", "citations": None}]), name: value}
    wire: Any = message
    if stream:
        wire = events(answer([{"type": "text", "text": "Hi"}]))
        if name in ("id", "model", "usage"):
            wire[0]["message"][name] = value
        else:
            wire[-2]["delta"][name] = value
    strict.answers.append(wire)
    async with provider_at(strict.url) as provider:
        response = await folded(provider, ask(stream=stream))
    assert response.message.parts == (TextPart(text="Hi"),)
    assert response.complete


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_message_says_of_itself(strict: StrictAnthropic, stream: bool) -> None:
    about = {
        "stop_sequence": "END",
        "container": {"id": "c1", "expires_at": "2026-11-21T00:00:00Z"},
        "context_management": {"applied_edits": [{"type": "clear_tool_uses_20250919"}]},
        "new_field": [1],
    }
    tools = {"web_search_requests": 2, "web_fetch_requests": 0}
    message = {**answer([{"type": "text", "text": "Hi"}], "stop_sequence"), **about}
    message["usage"] |= {"service_tier": "priority", "server_tool_use": tools}
    wire: Any = message
    if stream:
        wire = events(message)
        wire[-2] = {**wire[-2], "context_management": about["context_management"]}
        wire[-2]["delta"] = {name: message[name] for name in ("stop_reason", "stop_sequence", "container")}
    strict.answers.append(wire)
    async with provider_at(strict.url) as provider:
        response = await folded(provider, ask(stream=stream))
    assert response.provider_metadata is not None
    assert response.provider_metadata[ANTHROPIC_MESSAGES] == about
    rest = response.provider_metadata["anthropic"]["usage"]
    assert (rest["service_tier"], rest["server_tool_use"]) == ("priority", tools)
    assert response.usage is not None
    details = response.usage.details
    assert (details.web_searches, details.unpriced) == (2, "service_tier priority")


@pytest.mark.parametrize(
    ("usage", "unpriced"),
    [
        ({"service_tier": "standard", "speed": "standard", "inference_geo": "global"}, None),
        ({"speed": "fast"}, "speed fast"),
        ({"inference_geo": "us"}, "inference_geo us"),
        ({"iterations": [{"type": "message"}, {"type": "compaction", "output_tokens": 9}]}, "iteration compaction"),
        ({"iterations": [{"type": "message"}]}, None),
    ],
)
async def test_what_changes_the_price_of_tokens(strict: StrictAnthropic, usage: Any, unpriced: str | None) -> None:
    message = answer([{"type": "text", "text": "Hi"}])
    message["usage"] |= {**usage, "cache_creation": {"ephemeral_1h_input_tokens": 3, "ephemeral_5m_input_tokens": 0}}
    strict.answers.append(message)
    async with provider_at(strict.url) as provider:
        response = await folded(provider, ask())
    assert response.usage is not None
    assert (response.usage.details.unpriced, response.usage.details.cache_write_1h_tokens) == (unpriced, 3)


@pytest.mark.parametrize("stream", [False, True])
async def test_citations_of_addresses_are_openais_too(strict: StrictAnthropic, stream: bool) -> None:
    web = {"type": "web_search_result_location", "url": "https://a.example", "title": "A", "encrypted_index": "E"}
    found = {"type": "search_result_location", "source": "https://b.example", "title": None}
    local = {"type": "char_location", "cited_text": "rain", "document_index": 0}
    message = answer([{"type": "text", "text": "It rains.", "citations": [web, found, local]}])
    strict.answers.append(events(message) if stream else message)
    async with provider_at(strict.url) as provider:
        part = of(await events_of(provider, ask(stream=stream)))

    def cited(url: str, title: str) -> Any:
        place = {"start_index": 0, "end_index": len("It rains."), "url": url, "title": title}
        return {"type": "url_citation", "url_citation": place}

    assert part.provider_metadata == {
        "anthropic": {"citations": [web, found, local]},
        OPENAI_CHAT: {"annotations": [cited("https://a.example", "A"), cited("https://b.example", "")]},
    }


ERRORS = [
    (400, "invalid_request_error", "messages.0: Input does not match the expected shape.", ProviderRefused),
    (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum", ContextTooLong),
    (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 2", ContextTooLong),
    (
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API.",
        ProviderQuotaExhausted,
    ),
    (401, "authentication_error", "invalid x-api-key", ProviderAuthFailed),
    (402, "billing_error", "Payment required", ProviderQuotaExhausted),
    (403, "permission_error", "No access", ProviderAuthFailed),
    (404, "not_found_error", "model: claude-x", ProviderRefused),
    (413, "request_too_large", "Request exceeds the maximum size", ProviderRefused),
    (429, "rate_limit_error", "Slow down", ProviderRateLimited),
    (500, "api_error", "Internal server error", ProviderFailed),
    (529, "overloaded_error", "Overloaded", ProviderUnavailable),
]


@pytest.mark.parametrize(("status", "kind", "message", "expected"), ERRORS)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors(
    server: OpenAIServer, status: int, kind: str, message: str, expected: type[ProviderError], stream: bool
) -> None:
    server.answers({"type": "error", "error": {"type": kind, "message": message}}, status, retry_after="7")
    async with provider_at(server.base_url) as provider:
        with pytest.raises(ProviderError) as caught:
            await events_of(provider, ask(stream=stream))
    error = caught.value
    assert type(error) is expected
    assert (error.upstream_status, error.upstream_type, error.retry_after) == (status, kind, 7.0)
    assert (message in error.message) == (expected in (ProviderRefused, ContextTooLong, ProviderRateLimited))


@pytest.mark.parametrize(("status", "kind", "message", "expected"), ERRORS)
async def test_errors_in_a_stream(
    strict: StrictAnthropic, status: int, kind: str, message: str, expected: type[ProviderError]
) -> None:
    wire = events(answer(CONTENT))
    strict.answers.append([*wire[:6], {"type": "error", "error": {"type": kind, "message": message}}])
    async with provider_at(strict.url) as provider:
        with pytest.raises(ProviderError) as caught:
            await events_of(provider, ask(stream=True))
    assert type(caught.value) is expected
    assert caught.value.upstream_status == status


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"),
        (b"<html>", "text/html"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"{}", "application/json"),
        (b'{"content": [{"no": "type"}]}', "application/json"),
        (b'{"content": [{"type": "text", "text": 1}]}', "application/json"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_nonsense_under_a_200(server: OpenAIServer, body: bytes, kind: str, stream: bool) -> None:
    server.answers_raw(body, content_type=kind)
    async with provider_at(server.base_url) as provider:
        with pytest.raises(ProviderBadResponse):
            await events_of(provider, ask(stream=stream))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_under_a_200(server: OpenAIServer, stream: bool) -> None:
    server.answers({"type": "error", "error": {"type": "overloaded_error", "message": "x"}})
    async with provider_at(server.base_url) as provider:
        with pytest.raises(ProviderUnavailable):
            await events_of(provider, ask(stream=stream))


async def test_a_page_of_a_proxy_is_never_shown(server: OpenAIServer) -> None:
    server.answers_raw(b"<html>secret host</html>", 413, "text/html")
    async with provider_at(server.base_url) as provider:
        with pytest.raises(ProviderRefused) as caught:
            await events_of(provider, ask())
    assert (caught.value.status, "secret" in caught.value.message) == (413, False)


@pytest.mark.parametrize("cut", range(1, 8))
async def test_a_stream_without_its_end_is_no_answer(strict: StrictAnthropic, cut: int) -> None:
    strict.answers.append(events(answer([{"type": "text", "text": "Hello"}]))[:cut])
    async with provider_at(strict.url) as provider:
        with pytest.raises(ProviderBadResponse):
            await events_of(provider, ask(stream=True))


@pytest.mark.parametrize(
    "event",
    [
        b"data: {\n\n",
        b"data: []\n\n",
        b'data: {"type": "content_block_delta", "index": 3, "delta": {"type": "text_delta", "text": "x"}}\n\n',
        b'data: {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t"}}\n\n',
        b'data: {"no": "type"}\n\n',
    ],
)
async def test_nonsense_in_a_stream(strict: StrictAnthropic, event: bytes) -> None:
    wire = events(answer([{"type": "text", "text": "Hello"}]))
    strict.answers.append([*wire[:3], event, *wire[3:]])
    async with provider_at(strict.url) as provider:
        with pytest.raises(ProviderBadResponse):
            await events_of(provider, ask(stream=True))


async def test_a_retired_model_names_its_successor(server: OpenAIServer) -> None:
    model = "claude-3-5-sonnet-20241022"
    server.answers({"type": "error", "error": {"type": "not_found_error", "message": f"model: {model}"}}, 404)
    async with provider_at(server.base_url) as provider:
        with pytest.raises(ProviderRefused, match=r"is retired: use claude-sonnet-5-5"):
            await events_of(provider, ask(model=model))


async def test_health_lists_the_models(server: OpenAIServer) -> None:
    row = {"id": "claude-x", "display_name": "Claude X", "max_input_tokens": 5, "max_tokens": 2, "type": "model"}
    server.answers({"data": [row, {"id": "claude-y"}], "has_more": False})
    async with provider_at(server.base_url) as provider:
        report = await provider.health(HealthRequest(deadline=Deadline.after(5), credential=KEY))
    first, second = report.models
    assert (first.id, first.description, first.context_window, first.max_output_tokens) == (
        "claude-x",
        "Claude X",
        5,
        2,
    )
    assert (second.id, second.description) == ("claude-y", None)
    (asked,) = server.asked
    assert (asked.method, asked.path.partition("?")[0]) == ("GET", "/v1/models")
    assert asked.headers["x-api-key"] == KEY.reveal()


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"data": [1]}', b"x"])
async def test_health_of_something_else(server: OpenAIServer, body: bytes) -> None:
    server.answers_raw(body)
    async with provider_at(server.base_url) as provider:
        with pytest.raises(ProviderBadResponse):
            await provider.health(HealthRequest(deadline=Deadline.after(5)))


@pytest.mark.parametrize("url", ["", "/", "/v1", "/v1/"])
async def test_base_urls_with_and_without_the_version(strict: StrictAnthropic, url: str) -> None:
    async with provider_at(strict.url + url) as provider:
        await events_of(provider, ask())
    assert strict.asked[-1].path == "/v1/messages"


async def test_tokens_of_oauth_travel_as_bearer(strict: StrictAnthropic) -> None:
    token = "sk-ant-oat01-" + "k" * 95
    async with provider_at(strict.url) as provider:
        await events_of(provider, ask(credential=Secret(token)))
    headers = strict.asked[-1].headers
    assert headers["authorization"] == f"Bearer {token}"
    assert "x-api-key" not in headers


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("sk-ant-api03-" + "A" * 95, "valid"),
        ("sk-ant-oat01-" + "-_" * 45, "valid"),
        ("sk-ant-...", "placeholder"),
        ("sk-ant-api03-" + "A" * 79, "malformed"),
        ("sk-proj-" + "A" * 100, "foreign"),
        ("AIza" + "A" * 35, "foreign"),
    ],
)
def test_keys(key: str, status: str) -> None:
    info = AnthropicProvider.info
    assert check_key(Secret(key), info.key_formats, foreign=info.foreign_keys).status == status


def test_the_card() -> None:
    (entry,) = [e for e in entry_points(group="orchestrator.providers") if e.name == "anthropic"]
    assert entry.load() is AnthropicProvider
    info = AnthropicProvider.info
    current = {model.id for model in info.models if model.replacement is None}
    assert info.default_model in current
    assert {model.replacement for model in info.models} - {None} <= current
    assert all(model.retired_on is None or model.retired_on < date(2026, 11, 1) for model in info.models)

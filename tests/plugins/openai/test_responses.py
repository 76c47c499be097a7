"""Chats that need the Responses API: which they are, what is sent, what comes back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from fake_upstreams.openai_calls import ask, events_of, folded
from fake_upstreams.openai_server import OpenAIServer, chunk, completion
from fake_upstreams.strict_openai import StrictOpenAI
from fake_upstreams.strict_openai_responses import response, said, streamed
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ContentBlocked,
    Deadline,
    FilePart,
    ImagePart,
    Message,
    NamedTool,
    NativeRequest,
    OpaquePart,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderRateLimited,
    ProviderRefused,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ResponseFormat,
    Start,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    UnsupportedParameter,
    text_message,
)
from orchestrator_core.server.translate.openai_request import read_chat
from orchestrator_core.server.translate.openai_response import message_object
from orchestrator_openai.provider import OpenAISettings

FIND = Tool(name="find", description="Finds.", parameters={"type": "object", "properties": {"q": {"type": "string"}}})
NEEDED: dict[str, Any] = {"model": "gpt-5.6-luna", "tools": (FIND,), "reasoning_effort": "high"}
THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "encrypted_content": "gAAA",
    "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Then."}],
}
CALLS = [
    {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "find", "arguments": '{"q": "a"}'},
    {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "find", "arguments": "{}"},
]
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}


def call(id_: str, arguments: str = "{}", **own: Any) -> ToolCallPart:
    return ToolCallPart(id=id_, name="find", arguments=arguments, provider_metadata={"openai": own} if own else None)


def result(id_: str, content: Any = "found", *, error: bool = False) -> Message:
    return Message(role="tool", parts=(ToolResultPart(tool_call_id=id_, content=content, is_error=error),))


def assistant(*parts: Any) -> Message:
    return Message(role="assistant", parts=parts)


@pytest.mark.parametrize(
    ("mode", "fields", "path"),
    [
        ("auto", {}, "responses"),
        ("auto", {"model": "gpt-6.1-terra"}, "responses"),
        ("auto", {"model": "gpt-5.6"}, "responses"),
        ("auto", {"model": "ft:gpt-5.6-luna:a::b"}, "responses"),
        ("auto", {"reasoning_effort": "none"}, "chat/completions"),
        ("auto", {"reasoning_effort": None}, "chat/completions"),
        ("auto", {"tools": ()}, "chat/completions"),
        ("auto", {"model": "gpt-5.1"}, "chat/completions"),
        ("auto", {"model": "o3"}, "chat/completions"),
        ("always", {"model": "gpt-4o", "tools": (), "reasoning_effort": None}, "responses"),
        ("never", {"model": "gpt-5.1"}, "chat/completions"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_which_chats_go_there(connect_openai: Any, mode: str, fields: Any, path: str, stream: bool) -> None:
    async with StrictOpenAI() as server:
        provider = connect_openai(server.url, responses=mode)
        answer = await folded(provider, ask(**{**NEEDED, **fields}, stream=stream))
    assert [each.path for each in server.asked] == [f"/v1/{path}"]
    assert answer.message.text == "Done."


def test_the_operator_decides_in_three_words() -> None:
    assert OpenAISettings().responses == "auto"
    with pytest.raises(ValueError, match="responses"):
        OpenAISettings.model_validate({"responses": "sometimes"})


async def test_what_openai_sends_there_goes_there(connect_openai: Any) -> None:
    async with StrictOpenAI() as server:
        events = await events_of(connect_openai(server.url), ask(**{**NEEDED, "model": "gpt-5.4"}, stream=True))
        assert [each.path for each in server.asked] == ["/v1/chat/completions", "/v1/responses"]
        assert sum(isinstance(event, Start) for event in events) == 1
        with pytest.raises(ProviderRefused, match="use /v1/responses"):
            await events_of(connect_openai(server.url, responses="never"), ask(**NEEDED))
        assert len(server.asked) == 3


async def test_an_answer_that_has_begun_is_not_asked_for_again(connect_openai: Any) -> None:
    broken = [chunk(content="Hel"), {"error": {"message": "Please use /v1/responses.", "status": 400}}]
    async with OpenAIServer() as server:
        server.streams(broken)
        with pytest.raises(ProviderRefused, match="use /v1/responses"):
            await events_of(connect_openai(server.base_url), ask(stream=True))
    assert len(server.asked) == 1


async def test_a_server_without_it_keeps_its_own_refusal(connect_openai: Any) -> None:
    async with OpenAIServer() as server:
        said_first = "This model is only supported in v1/responses and not in v1/chat/completions."
        server.answers({"error": {"message": said_first, "param": "model"}}, 404)
        server.answers({"detail": "Not Found"}, 404)
        with pytest.raises(ProviderRefused, match="only supported in v1/responses"):
            await events_of(connect_openai(server.base_url), ask())
        server.answers({"error": {"message": "No such model.", "param": "model"}}, 404)
        with pytest.raises(ProviderRefused, match="No such model"):
            await events_of(connect_openai(server.base_url), ask())
    assert len(server.asked) == 3


async def test_a_client_of_openai_gets_no_bytes_of_the_other_protocol(connect_openai: Any) -> None:
    body = {"model": "x/y", "messages": [], "reasoning_effort": "high", "tools": [{}], "n": 1}
    async with StrictOpenAI() as server:
        provider = connect_openai(server.url)
        for stream in (False, True):
            request = ask(**NEEDED, stream=stream, strict=True, n=1, native=NativeRequest(OPENAI_CHAT, body))
            events = await events_of(provider, request)
            assert all(event.native is None for event in events)
            assert isinstance(events[0], Start)
            assert not events[0].adjustments


async def test_parameters(connect_openai: Any) -> None:
    form = ResponseFormat(type="json_schema", name="x", json_schema={"type": "object"}, strict=False)
    extra = {
        "verbosity": "low",
        "service_tier": "flex",
        "reasoning": {"summary": "auto"},
        "include": ["web_search_call.action.sources"],
        "tools": [
            {"type": "web_search"},
            {"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": {"syntax": "lark"}}}},
        ],
    }
    fields: dict[str, Any] = {
        "max_tokens": 50,
        "temperature": 0.5,
        "parallel_tool_calls": False,
        "response_format": form,
        "tool_choice": NamedTool(name="find"),
        "tools": (FIND, Tool(name="ping", strict=True, parameters={"type": "object", "additionalProperties": False})),
    }
    async with StrictOpenAI() as server:
        await events_of(connect_openai(server.url), ask(**{**NEEDED, **fields}, extra=extra, strict=True, stream=True))
        sent = server.asked[-1].body
        assert sent == {
            "model": "gpt-5.6-luna",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
            "stream": True,
            "store": False,
            "include": ["web_search_call.action.sources", "reasoning.encrypted_content"],
            "max_output_tokens": 50,
            "temperature": 0.5,
            "parallel_tool_calls": False,
            "service_tier": "flex",
            "reasoning": {"summary": "auto", "effort": "high"},
            "text": {
                "format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": False},
                "verbosity": "low",
            },
            "tool_choice": {"type": "function", "name": "find"},
            "tools": [
                {
                    "type": "function",
                    "name": "find",
                    "description": "Finds.",
                    "parameters": FIND.parameters,
                    "strict": False,
                },
                {
                    "type": "function",
                    "name": "ping",
                    "parameters": {"type": "object", "additionalProperties": False},
                    "strict": True,
                },
                {"type": "web_search"},
                {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark"}},
            ],
        }
        allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "find"}}]}
        choice = {"type": "allowed_tools", "allowed_tools": allowed}
        bare = {**NEEDED, "tools": (Tool(name="find"),)}
        await events_of(connect_openai(server.url), ask(**bare, extra={"tool_choice": choice, "store": True}))
        sent = server.asked[-1].body
        flat = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "find"}]}
        assert sent["tool_choice"] == flat
        assert sent["store"] is True
        assert sent["tools"][0]["parameters"] == {"type": "object", "properties": {}}


LOST: dict[str, Any] = {"n": 2, "stop": ("END",), "seed": 7, "presence_penalty": 0.5, "frequency_penalty": 0.5}


async def test_what_is_lost_is_said(connect_openai: Any) -> None:
    nothing: dict[str, Any] = {
        "n": 1,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "extra": {"modalities": ["text"]},
    }
    async with StrictOpenAI() as server:
        provider = connect_openai(server.url)
        events = await events_of(provider, ask(**NEEDED, **LOST, max_tokens=5, extra={"logprobs": True}))
        assert isinstance(events[0], Start)
        reported = {(each.subject, each.action) for each in events[0].adjustments}
        assert reported == {(name, "dropped") for name in (*LOST, "logprobs")} | {("max_tokens", "downgraded")}
        assert server.asked[-1].body["max_output_tokens"] == 16
        events = await events_of(provider, ask(**NEEDED, **nothing, strict=True))
        assert isinstance(events[0], Start)
        assert not events[0].adjustments
    for name, value in LOST.items():
        with pytest.raises(UnsupportedParameter, match=name):
            await events_of(provider, ask(**NEEDED, **{name: value}, strict=True))


CONVERSATION = (
    text_message("system", "Be brief."),
    Message(
        role="user",
        parts=(
            TextPart(text="Look:"),
            ImagePart(data="AAAA", media_type="image/gif", detail="low"),
            ImagePart(url="https://x.example/y.png"),
            FilePart(data="AAAA", media_type="application/pdf", filename="a.pdf"),
            FilePart(url="https://x.example/a.pdf"),
            FilePart(file_id="file-1"),
        ),
    ),
    assistant(
        ReasoningPart(text="Hm.", provider_metadata={"openai": {"encrypted_content": "e1"}}),
        TextPart(text="Looking.", provider_metadata={"openai": {"phase": "commentary", "annotations": [{}]}}),
        ReasoningPart(provider_metadata={"openai": {"encrypted_content": "e2"}}),
        call("call_1", '{"q": "a"}'),
        call("toolu_" + "x" * 80, type="custom"),
        OpaquePart(provider_metadata={"openai": {"item": SEARCH}}),
    ),
    result("toolu_" + "x" * 80, (TextPart(text="see"), ImagePart(url="https://x.example/z.png"))),
    result("call_1", "no", error=True),
    assistant(RefusalPart(text="I will not."), ReasoningPart(provider_metadata={"openai": {"encrypted_content": "e"}})),
    assistant(
        ReasoningPart(text="Mine.", provider_metadata={"anthropic": {"signature": "s"}}), call("call_cut", '{"q')
    ),
    text_message("user", "And now?"),
    assistant(OpaquePart(provider_metadata={"gemini": {"x": 1}})),
    text_message("user", "Well?"),
    result("stray"),
)


async def test_calls_of_one_id_get_a_result_each(connect_openai: Any) -> None:
    conversation = (assistant(call("a"), call("a")), result("a", "one"), result("a", "two"))
    async with StrictOpenAI() as server:
        await events_of(connect_openai(server.url), ask(conversation, **NEEDED))
    items = server.asked[-1].body["input"]
    ids = [item["call_id"] for item in items if item["type"] == "function_call"]
    assert len(set(ids)) == 2
    results = [(item["call_id"], item["output"]) for item in items if item["type"] == "function_call_output"]
    assert results == [(ids[0], "one"), (ids[1], "two")]


async def test_a_conversation(connect_openai: Any) -> None:
    async with StrictOpenAI() as server:
        events = await events_of(connect_openai(server.url), ask(CONVERSATION, **NEEDED))
    sent = server.asked[-1].body["input"]
    long_id = sent[6]["call_id"]
    assert len(long_id) <= 40
    assert sent == [
        {"role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look:"},
                {"type": "input_image", "image_url": "data:image/gif;base64,AAAA", "detail": "low"},
                {"type": "input_image", "image_url": "https://x.example/y.png", "detail": "auto"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                {"type": "input_file", "file_url": "https://x.example/a.pdf"},
                {"type": "input_file", "file_id": "file-1"},
            ],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "e1"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Looking."}], "phase": "commentary"},
        {"type": "reasoning", "summary": [], "encrypted_content": "e2"},
        {"type": "function_call", "call_id": "call_1", "name": "find", "arguments": '{"q": "a"}'},
        {"type": "custom_tool_call", "call_id": long_id, "name": "find", "input": "{}"},
        SEARCH,
        {"type": "function_call_output", "call_id": "call_1", "output": "Error: no"},
        {
            "type": "custom_tool_call_output",
            "call_id": long_id,
            "output": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "https://x.example/z.png", "detail": "auto"},
            ],
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I will not."}]},
        {"type": "function_call", "call_id": "call_cut", "name": "find", "arguments": '{"q'},
        {"type": "function_call_output", "call_id": "call_cut", "output": "Error: no result was given"},
        {"role": "user", "content": [{"type": "input_text", "text": "And now?"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "Well?"}]},
        {"role": "user", "content": [{"type": "input_text", "text": text} for text in ("Result of stray:", "found")]},
    ]
    assert isinstance(events[0], Start)
    assert [(each.subject, each.action) for each in events[0].adjustments] == [
        ("reasoning", "dropped"),
        ("reasoning", "dropped"),
        ("tool_call", "mapped"),
        ("opaque", "dropped"),
        ("message", "mapped"),
        ("tool_result", "mapped"),
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_thoughts_and_calls_go_back_as_they_came(connect_openai: Any, stream: bool) -> None:
    whole = response(THOUGHT, *CALLS)
    async with StrictOpenAI() as server:
        provider = connect_openai(server.url)
        server.answers.append(streamed(whole) if stream else whole)
        answer = await folded(provider, ask(**NEEDED, stream=stream))
        assert answer.message.parts == (
            ReasoningPart(text="First.\n\nThen.", provider_metadata={"openai": {"encrypted_content": "gAAA"}}),
            call("call_1", '{"q": "a"}'),
            call("call_2"),
        )
        assert answer.choices[0].finish_reason == "tool_calls"
        said_so_far = (text_message("user", "Hi"), answer.message, result("call_2", "b"), result("call_1", "a"))
        await folded(provider, ask(said_so_far, **NEEDED, stream=stream, strict=True))
        sent = server.asked[-1].body["input"]
        assert sent[1]["encrypted_content"] == "gAAA"
        assert [(item["type"], item.get("call_id")) for item in sent[1:]] == [
            ("reasoning", None),
            ("function_call", "call_1"),
            ("function_call", "call_2"),
            ("function_call_output", "call_1"),
            ("function_call_output", "call_2"),
        ]
        # The other way takes the same conversation.
        await folded(provider, ask(said_so_far, **{**NEEDED, "reasoning_effort": "none"}))
        assert server.asked[-1].path == "/v1/chat/completions"
        assert [each.problems for each in server.asked] == [[], [], []]


async def test_thoughts_as_they_are_streamed(connect_openai: Any) -> None:
    where = {"output_index": 0}
    events = [
        {"type": "response.created", "response": response(status="in_progress", usage=None)},
        {"type": "response.in_progress", "response": response(status="in_progress", usage=None)},
        {"type": "response.output_item.added", **where, "item": {**THOUGHT, "summary": [], "encrypted_content": "x"}},
        {"type": "response.reasoning_summary_part.added", **where, "summary_index": 0},
        {"type": "response.reasoning_summary_text.delta", **where, "summary_index": 0, "delta": "Fir"},
        {"type": "response.reasoning_summary_text.delta", **where, "summary_index": 0, "delta": "st."},
        {"type": "response.reasoning_summary_part.added", **where, "summary_index": 1},
        {"type": "response.reasoning_summary_text.delta", **where, "summary_index": 1, "delta": "Then."},
        {"type": "response.output_item.done", **where, "item": THOUGHT},
        {"type": "response.something.new", "output_index": 7},
        {"type": "response.completed", "response": response(THOUGHT)},
    ]
    async with StrictOpenAI() as server:
        server.answers.append(events)
        given = await events_of(connect_openai(server.url), ask(**NEEDED, stream=True))
    thoughts = [event for event in given if isinstance(event, ReasoningDelta)]
    assert [event.text for event in thoughts] == ["Fir", "st.", "\n\n", "Then.", ""]
    assert thoughts[-1].provider_metadata == {"openai": {"encrypted_content": "gAAA"}}


@pytest.mark.parametrize("stream", [False, True])
async def test_other_parts_of_answers(connect_openai: Any, stream: bool) -> None:
    cited = said("See there.")
    cited["content"][0]["annotations"] = [{"type": "url_citation", "url": "https://x.example"}]
    cited["phase"] = "final_answer"
    refused = {**said(""), "content": [{"type": "refusal", "refusal": "No."}]}
    custom = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_9", "name": "c", "input": "raw"}
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 130,
    }
    whole = response(SEARCH, cited, refused, custom, usage=usage)
    async with StrictOpenAI() as server:
        server.answers.append(streamed(whole) if stream else whole)
        answer = await folded(connect_openai(server.url), ask(**NEEDED, stream=stream))
    noted = {"annotations": cited["content"][0]["annotations"], "phase": "final_answer"}
    spelt = {"type": "url_citation", "url_citation": {"url": "https://x.example"}}
    assert answer.message.parts == (
        OpaquePart(provider_metadata={"openai": {"item": SEARCH}}),
        TextPart(text="See there.", provider_metadata={"openai": noted, OPENAI_CHAT: {"annotations": [spelt]}}),
        RefusalPart(text="No."),
        ToolCallPart(id="call_9", name="c", arguments="raw", provider_metadata={"openai": {"type": "custom"}}),
    )
    assert answer.usage is not None
    used = answer.usage
    assert (used.input_tokens, used.cached_input_tokens, used.cache_write_tokens) == (30, 60, 10)
    assert (used.output_tokens, used.reasoning_tokens) == (10, 20)
    assert used.details.web_searches == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_an_image_is_one_and_comes_back_as_its_item(connect_openai: Any, stream: bool) -> None:
    drawn = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AA=="}
    whole = {**response(drawn, said("There.")), "service_tier": "flex"}
    async with StrictOpenAI() as server:
        server.answers.append(streamed(whole) if stream else whole)
        provider = connect_openai(server.url)
        answer = await folded(provider, ask(**NEEDED, stream=stream))
        kept = json.loads(json.dumps(message_object(answer.message)))
        assert kept["images"][0]["image_url"] == {"url": "data:image/png;base64,AA=="}
        assert answer.provider_metadata == {OPENAI_CHAT: {"service_tier": "flex"}}
        assert answer.usage is not None
        assert answer.usage.details.unpriced is not None
        messages = [{"role": "user", "content": "Hi"}, kept, {"role": "user", "content": "Again"}]
        body = {"model": "m", "messages": messages, "reasoning_effort": "high"}
        body["tools"] = [{"type": "function", "function": {"name": "find"}}]
        request = read_chat(body, deadline=Deadline.after(5), strict=True)
        await events_of(provider, replace(request, model="gpt-5.6-luna"))
        assert server.asked[-1].body["input"][1] == drawn


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("said_why", "reason"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("steered", "stop")],
)
async def test_incomplete_answers(connect_openai: Any, stream: bool, said_why: str, reason: str) -> None:
    whole = response(CALLS[0], status="incomplete", incomplete_details={"reason": said_why})
    async with StrictOpenAI() as server:
        server.answers.append(streamed(whole) if stream else whole)
        answer = await folded(connect_openai(server.url), ask(**NEEDED, stream=stream))
    assert (answer.choices[0].finish_reason, answer.choices[0].native_finish_reason) == (reason, said_why)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", ProviderFailed),
        ("rate_limit_exceeded", ProviderRateLimited),
        ("invalid_prompt", ProviderRefused),
        ("image_too_large", ProviderRefused),
        ("bio_policy", ContentBlocked),
    ],
)
async def test_failed_answers(connect_openai: Any, stream: bool, code: str, kind: type[ProviderError]) -> None:
    whole = response(status="failed", error={"code": code, "message": "Sorry."}, usage=None)
    async with StrictOpenAI() as server:
        server.answers.append(streamed(whole) if stream else whole)
        with pytest.raises(ProviderError) as caught:
            await events_of(connect_openai(server.url), ask(**NEEDED, stream=stream))
    assert type(caught.value) is kind
    assert caught.value.upstream_code == code


HEAD = {"type": "response.created", "response": response(status="in_progress")}


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([HEAD], ProviderBadResponse),
        ([], ProviderBadResponse),
        ([HEAD, b"data: {\n\n"], ProviderBadResponse),
        ([HEAD, {"type": "response.output_text.delta", "delta": 1, "output_index": 0}], ProviderBadResponse),
        ([HEAD, {"type": "response.output_item.added", "output_index": 0}], ProviderBadResponse),
        ([HEAD, b"data: [DONE]\n\n"], ProviderBadResponse),
        ([HEAD, {"type": "error", "code": "server_error", "message": "x"}], ProviderFailed),
        ([HEAD, {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "x"}}], ProviderRateLimited),
        ([b'event: error\ndata: {"error": {"code": "slow_down"}}\n\n'], ProviderRateLimited),
        ([HEAD, {"type": "response.completed", "response": response(status="cancelled")}], ProviderFailed),
    ],
)
async def test_broken_streams(connect_openai: Any, events: list[Any], kind: type[ProviderError]) -> None:
    async with StrictOpenAI() as server:
        server.answers.append(events)
        with pytest.raises(ProviderError) as caught:
            await events_of(connect_openai(server.url), ask(**NEEDED, stream=True))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", ProviderBadResponse),
        (b"{", ProviderBadResponse),
        (b"[]", ProviderBadResponse),
        (b"{}", ProviderBadResponse),
        (json.dumps(response({"id": "x"})).encode(), ProviderBadResponse),
        (json.dumps(response(status="queued")).encode(), ProviderFailed),
        (b'{"error": {"code": "insufficient_quota", "message": "x"}}', ProviderError),
    ],
)
async def test_broken_bodies(connect_openai: Any, body: bytes, kind: type[ProviderError]) -> None:
    async with OpenAIServer() as server:
        server.answers_raw(body)
        with pytest.raises(kind):
            await events_of(connect_openai(server.base_url), ask(**NEEDED))


async def test_a_retired_model_gets_its_hint_here_too(connect_openai: Any) -> None:
    async with OpenAIServer() as server:
        server.answers({"error": {"message": "The requested model does not exist.", "code": "model_not_found"}}, 400)
        with pytest.raises(ProviderRefused, match="use gpt-6-luna"):
            await events_of(connect_openai(server.base_url, responses="always"), ask(model="gpt-4"))
        server.answers(completion())
        await events_of(connect_openai(server.base_url), ask(model="gpt-4"))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_of_openai_gives_its_answers_back_on_either_way(connect_openai: Any, stream: bool) -> None:
    """As through `/v1`: the surface writes the answer, the client keeps the message, the surface reads it."""
    async with StrictOpenAI() as server:
        provider = connect_openai(server.url)
        whole = response(
            THOUGHT, {"type": "custom_tool_call", "call_id": "call_9", "name": "c", "input": "raw"}, *CALLS
        )
        server.answers.append(streamed(whole) if stream else whole)
        answer = await folded(provider, ask(**NEEDED, stream=stream))
        kept = json.loads(json.dumps(message_object(answer.message)))
        assert kept["reasoning_content"] == "First.\n\nThen."
        results = [{"role": "tool", "tool_call_id": f"call_{n}", "content": "ok"} for n in (9, 1, 2)]
        body = {
            "model": "openai/gpt-5.6-luna",
            "messages": [{"role": "user", "content": "Hi"}, kept, *results],
            "reasoning_effort": "high",
            "tools": [{"type": "function", "function": {"name": "find"}}],
        }
        request = read_chat(body, deadline=Deadline.after(5), strict=True)
        await events_of(provider, replace(request, model="gpt-5.6-luna"))
        sent = server.asked[-1].body["input"]
        assert sent[1]["encrypted_content"] == "gAAA"
        assert [item["type"] for item in sent[2:5]] == ["custom_tool_call", "function_call", "function_call"]
        assert sent[2]["input"] == "raw"
        request = read_chat({**body, "reasoning_effort": "none"}, deadline=Deadline.after(5), strict=True)
        events = await events_of(provider, replace(request, model="gpt-5.6-luna"))
        assert server.asked[-1].path == "/v1/chat/completions"
        message = server.asked[-1].body["messages"][1]
        assert message.keys() <= {"role", "content", "refusal", "tool_calls"}
        assert message["tool_calls"][0] == {"id": "call_9", "type": "custom", "custom": {"name": "c", "input": "raw"}}
        assert all(each.keys() == {"id", "type", "function"} for each in message["tool_calls"][1:])
        assert isinstance(events[0], Start)
        assert [(each.subject, each.action) for each in events[0].adjustments] == [("reasoning", "dropped")]
        assert body["messages"][1] == kept, "the client's own body is not changed"

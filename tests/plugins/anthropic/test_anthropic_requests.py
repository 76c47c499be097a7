"""Requests in canonical form, as a server takes them that refuses what Anthropic refuses."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession
from pydantic import ValidationError

from fake_upstreams.anthropic_calls import HELLO, ask, folded, provider_at, sent
from fake_upstreams.strict_anthropic import StrictAnthropic, signature
from orchestrator_anthropic.compile import compile_chat
from orchestrator_anthropic.messages import Conversation
from orchestrator_anthropic.models import traits_of
from orchestrator_anthropic.provider import AnthropicSettings
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    AdjustmentReport,
    FilePart,
    ImagePart,
    Message,
    NamedTool,
    NativeRequest,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    UnsupportedParameter,
    text_message,
)

PNG = base64.b64encode(b"\x89PNG").decode()
WEATHER = Tool(name="weather", description="The weather", parameters={"type": "object", "properties": {}}, strict=True)
OWN = {"anthropic": {"signature": signature("own")}}
CITY = ToolCallPart(id="toolu_1", name="weather", arguments='{"city": "Paris"}')
SUNNY = ToolResultPart(tool_call_id="toolu_1", content="sunny")
GENERATIONS = [
    "claude-3-haiku-20240307",
    "claude-3-5-sonnet-20241022",
    "claude-3-7-sonnet-20250219",
    "claude-sonnet-4-20250514",
    "claude-sonnet-4-0",
    "claude-opus-4-1-20250805",
    "claude-opus-4-5",
    "claude-haiku-4-5-20251001",
    "claude-opus-4-6",
    "claude-sonnet-4-6",
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-sonnet-5",
    "claude-opus-5",
    "claude-fable-5",
    "claude-fable-5-1",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
    "claude-haiku-5-5",
]


@pytest.fixture
async def server() -> AsyncIterator[StrictAnthropic]:
    async with StrictAnthropic() as running:
        yield running


def assistant(*parts: Any) -> Message:
    return Message(role="assistant", parts=parts)


def user(*parts: Any) -> Message:
    return Message(role="user", parts=parts)


def tool(*parts: Any) -> Message:
    return Message(role="tool", parts=parts)


def adjusted(response: Any) -> set[tuple[str, str]]:
    return {(each.subject, each.action) for each in response.adjustments}


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


async def test_the_smallest_request(server: StrictAnthropic) -> None:
    body, response = await sent(server, ask())
    assert body == {
        "model": "claude-sonnet-5-5",
        "messages": [{"role": "user", "content": [said("Hello")]}],
        "max_tokens": 32_000,
    }
    assert response.adjustments == ()
    assert server.asked[-1].headers["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in server.asked[-1].headers


@pytest.mark.parametrize(
    ("model", "limit"), [("claude-3-haiku-20240307", 4096), ("claude-3-5-haiku-latest", 8192), ("unheard-of", 4096)]
)
async def test_the_limit_is_never_above_that_of_the_model(server: StrictAnthropic, model: str, limit: int) -> None:
    body, _ = await sent(server, ask(model=model))
    assert body["max_tokens"] == limit
    body, _ = await sent(server, ask(model=model), default_max_tokens=100)
    assert body["max_tokens"] == 100
    body, _ = await sent(server, ask(model=model, max_tokens=7), default_max_tokens=100)
    assert body["max_tokens"] == 7


@pytest.mark.parametrize("model", GENERATIONS)
async def test_every_model_takes_every_request(server: StrictAnthropic, model: str) -> None:
    resumed = [*HELLO, assistant(CITY), tool(SUNNY)]
    conversations: list[tuple[Any, dict[str, Any]]] = [
        (HELLO, {"temperature": 0.3, "top_p": 0.5, "extra": {"top_k": 5}}),
        (resumed, {"temperature": 1.7, "max_tokens": 1000, "stop": [" ", "END"]}),
        ([*HELLO, assistant(TextPart(text="I say "))], {"top_p": 0.97, "max_tokens": 2000}),
    ]
    async with provider_at(server.url) as provider:
        for effort in (None, "none", "minimal", "low", "medium", "high", "xhigh", "max", "extreme"):
            for choice in (None, "required", NamedTool(name="weather")):
                for messages, fields in conversations:
                    request = ask(
                        messages,
                        model=model,
                        reasoning_effort=effort,
                        tools=[WEATHER],
                        tool_choice=choice,
                        parallel_tool_calls=False,
                        response_format=ResponseFormat(type="json_schema", json_schema={"type": "object"}),
                        **fields,
                    )
                    assert (await folded(provider, request)).complete
    assert len(server.asked) == 81
    assert [asked.problems for asked in server.asked if asked.problems] == []


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "config"),
    [
        ("claude-sonnet-5-5", "high", {"type": "adaptive", "display": "summarized"}, {"effort": "high"}),
        ("claude-sonnet-5-5", "none", {"type": "between_tools"}, None),
        ("claude-haiku-5-5", "none", {"type": "disabled"}, None),
        ("claude-opus-5-5", "none", None, {"effort": "low"}),
        ("claude-opus-4-8", "none", None, None),
        ("claude-opus-4-6", "medium", {"type": "adaptive"}, {"effort": "medium"}),
        ("claude-haiku-4-5", "medium", {"type": "enabled", "budget_tokens": 8192}, None),
        ("claude-haiku-4-5", "minimal", {"type": "enabled", "budget_tokens": 1024}, None),
        ("claude-3-5-sonnet-20241022", "high", None, None),
    ],
)
async def test_effort(server: StrictAnthropic, model: str, effort: str, thinking: Any, config: Any) -> None:
    body, _ = await sent(server, ask(model=model, reasoning_effort=effort))
    assert (body.get("thinking"), body.get("output_config")) == (thinking, config)


@pytest.mark.parametrize(
    ("model", "asked", "given", "reported"),
    [
        ("claude-haiku-4-5", 3000, 3000, set()),
        ("claude-haiku-4-5", 50, 1024, {("thinking.budget_tokens", "downgraded")}),
        ("claude-haiku-4-5", 9000, 7999, {("thinking.budget_tokens", "downgraded")}),
        ("claude-sonnet-5-5", 3000, None, {("thinking.budget_tokens", "downgraded")}),
    ],
)
async def test_a_budget(server: StrictAnthropic, model: str, asked: int, given: int | None, reported: Any) -> None:
    request = ask(model=model, reasoning_effort="low", reasoning_budget=asked, max_tokens=8000)
    body, response = await sent(server, request)
    assert body["thinking"].get("budget_tokens") == given
    assert adjusted(response) == reported


async def test_what_is_lost_of_the_parameters_is_reported(server: StrictAnthropic) -> None:
    request = ask(
        temperature=0.2,
        top_p=0.5,
        seed=1,
        n=2,
        presence_penalty=0.0,
        frequency_penalty=0.5,
        extra={"top_k": 3, "logit_bias": {"1": 2}, "user": "u-1", "service_tier": "default"},
    )
    body, response = await sent(server, request)
    assert adjusted(response) == {
        (name, "dropped") for name in ("temperature", "top_p", "top_k", "seed", "n", "frequency_penalty", "logit_bias")
    }
    assert body["metadata"] == {"user_id": "u-1"}
    assert body["service_tier"] == "standard_only"


@pytest.mark.parametrize(
    ("extra", "action"),
    [
        ({"enable_thinking": False}, "dropped"),
        ({"safe_prompt": False}, "dropped"),
        ({"some_number": 0}, "dropped"),
        ({"store": True}, "dropped"),
        ({"store": False}, "mapped"),
        ({"logprobs": False}, "mapped"),
        ({"top_logprobs": 0}, "mapped"),
        ({"modalities": ["text"]}, "mapped"),
        ({"modalities": ["text", "audio"]}, "dropped"),
        ({"service_tier": {"no": "word"}}, "dropped"),
        ({"betas": "no\nheader"}, "dropped"),
        ({"betas": ["context-1m-2025-08-07", "no\x00header"]}, "dropped"),
        ({"betas": [1]}, "dropped"),
        ({"tools": ["no object"]}, "dropped"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "c"}}}, "dropped"),
        ({"logit_bias": {}, "prompt_cache_key": "", "nothing": None}, None),
    ],
)
async def test_no_parameter_goes_unreported(server: StrictAnthropic, extra: dict[str, Any], action: str | None) -> None:
    _, response = await sent(server, ask(extra=extra))
    assert adjusted(response) == ({(next(iter(extra)), action)} if action else set())
    async with provider_at(server.url) as provider:
        if action != "dropped":
            assert (await folded(provider, ask(extra=extra, strict=True))).complete
            return
        with pytest.raises(UnsupportedParameter) as caught:
            await folded(provider, ask(extra=extra, strict=True))
    assert caught.value.param == next(iter(extra))


async def test_what_messages_say_beside_their_content_is_reported(server: StrictAnthropic) -> None:
    picture = ImagePart(url="https://example.org/a.png", detail="low")
    named = [Message(role="user", name="bob", parts=(TextPart(text="See"), picture))]
    body, response = await sent(server, ask(named))
    assert [block["type"] for block in body["messages"][0]["content"]] == ["text", "image"]
    assert adjusted(response) == {("name", "dropped"), ("detail", "dropped")}
    unread = [Message(role="system", parts=(TextPart(text="Be kind."), OpaquePart())), *HELLO]
    body, response = await sent(server, ask(unread))
    assert (body["system"], adjusted(response)) == ([said("Be kind.")], {("content", "dropped")})


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-haiku-4-5"])
async def test_a_user_who_says_nothing_keeps_the_turn(server: StrictAnthropic, model: str) -> None:
    hello, answered, silent = HELLO[0], text_message("assistant", "Hi"), text_message("user", " \n")
    nothing = [said("(nothing was said)")]
    body, response = await sent(server, ask([hello, answered, silent], model=model, strict=True))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][-1]["content"] == nothing
    assert adjusted(response) == {("message", "mapped")}
    between = [hello, answered, silent, text_message("assistant", "Well?"), hello]
    body, _ = await sent(server, ask(between, model=model))
    assert [turn["content"] for turn in body["messages"][1:4]] == [[said("Hi")], nothing, [said("Well?")]]
    body, _ = await sent(server, ask([hello, answered, silent, hello], model=model))
    assert body["messages"][-1]["content"] == [said("Hello")]
    unread = Message(role="user", parts=(OpaquePart(),))
    body, response = await sent(server, ask([hello, answered, unread], model=model))
    assert body["messages"][-1]["content"] == nothing
    assert adjusted(response) == {("message", "mapped"), ("content", "dropped")}


async def test_notes_that_a_client_changed_do_no_harm(server: StrictAnthropic) -> None:
    blocks: list[Any] = [{}, {"type": 1}, "text", None]
    spoilt = [OpaquePart(provider_metadata={"anthropic": {"block": block}}) for block in blocks]
    body, response = await sent(server, ask([*HELLO, assistant(TextPart(text="Hi"), *spoilt), *HELLO]))
    assert body["messages"][1]["content"] == [said("Hi")]
    assert adjusted(response) == {("opaque", "dropped")}


@pytest.mark.parametrize("name", ["temperature", "seed", "frequency_penalty"])
async def test_a_strict_request_is_refused_before_it_is_sent(server: StrictAnthropic, name: str) -> None:
    async with provider_at(server.url) as provider:
        with pytest.raises(UnsupportedParameter) as caught:
            await anext(provider.chat(request=ask(strict=True, **{name: 1 if name == "seed" else 0.5})))
    assert caught.value.param == name
    assert server.asked == []


async def test_older_models_take_one_of_two(server: StrictAnthropic) -> None:
    body, response = await sent(server, ask(model="claude-haiku-4-5", temperature=1.5, top_p=0.5))
    assert (body["temperature"], "top_p" in body) == (1, False)
    assert adjusted(response) == {("temperature", "downgraded"), ("top_p", "dropped")}
    body, response = await sent(server, ask(model="claude-sonnet-4-0", temperature=0.5, top_p=0.5))
    assert (body["temperature"], body["top_p"], response.adjustments) == (0.5, 0.5, ())


async def test_the_operators_temperature_goes_to_models_that_take_one(server: StrictAnthropic) -> None:
    body, _ = await sent(server, ask(model="claude-haiku-4-5"), default_temperature=0.4)
    assert body["temperature"] == 0.4
    for request in (ask(), ask(model="claude-haiku-4-5", reasoning_effort="low")):
        body, response = await sent(server, request, default_temperature=0.4)
        assert "temperature" not in body
        assert not any(action == "dropped" for _, action in adjusted(response))


async def test_tools(server: StrictAnthropic) -> None:
    dotted = Tool(name="time.now", provider_metadata={OPENAI_CHAT: {"cache_control": {"type": "ephemeral"}, "x": 1}})
    bare = Tool(name="bare", parameters={"properties": {}})
    search = {"type": "web_search_20250305", "name": "web_search"}
    request = ask(
        tools=[dotted, WEATHER, bare],
        tool_choice="auto",
        parallel_tool_calls=False,
        extra={"tools": [search, {"type": "custom", "custom": {"name": "x"}}]},
    )
    body, response = await sent(server, request)
    first, second, third, own = body["tools"]
    assert first["name"].startswith("time_now_")
    assert first["cache_control"] == {"type": "ephemeral"}
    assert "x" not in first
    assert second == {
        "name": "weather",
        "description": "The weather",
        "input_schema": WEATHER.parameters,
        "strict": True,
    }
    assert third["input_schema"] == {"type": "object", "properties": {}}
    assert own == search
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert adjusted(response) == {("tools", "mapped"), ("tools", "dropped"), ("x", "dropped")}
    assert [call.name for call in response.message.tool_calls] == ["time.now"]


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        (NamedTool(name="weather"), {"type": "tool", "name": "weather"}),
    ],
)
async def test_tool_choice(server: StrictAnthropic, choice: Any, wire: Any) -> None:
    body, response = await sent(server, ask(model="claude-haiku-4-5", tools=[WEATHER], tool_choice=choice))
    assert (body["tool_choice"], response.adjustments) == (wire, ())
    body, response = await sent(server, ask(tools=[WEATHER], tool_choice=choice))
    free = wire["type"] in ("auto", "none")
    assert body["tool_choice"] == (wire if free else {"type": "auto"})
    assert adjusted(response) == (set() if free else {("tool_choice", "downgraded")})


@pytest.mark.parametrize(("mode", "wire"), [("auto", "auto"), ("required", "any")])
async def test_a_choice_among_some_tools_leaves_those(server: StrictAnthropic, mode: Any, wire: str) -> None:
    own = [{"type": "web_search_20250305", "name": "web_search"}, {"type": "web_fetch_20250910", "name": "web_fetch"}]
    among = [{"type": "function", "function": {"name": "weather"}}, {"type": "web_fetch_20250910"}]
    some = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": among}}
    tools = [WEATHER, WEATHER.model_copy(update={"name": "other"})]
    extra = {"tool_choice": some, "tools": own}
    asked = ask(model="claude-haiku-4-5", tools=tools, tool_choice=mode, extra=extra, strict=True)
    body, response = await sent(server, asked)
    assert [tool["name"] for tool in body["tools"]] == ["weather", "web_fetch"]
    assert body["tool_choice"] == {"type": wire}
    assert adjusted(response) == {("tool_choice", "mapped")}


def test_the_time_for_a_choice_among_tools_grows_with_their_number() -> None:
    names = [f"tool_{number}" for number in range(20_000)]
    among = [{"type": "function", "function": {"name": name}} for name in names]
    asked = ask(
        tools=[WEATHER.model_copy(update={"name": name}) for name in reversed(names)],
        extra={"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": among}}},
    )
    begun = time.process_time()
    compiled = compile_chat(asked, AnthropicSettings(), "anthropic", AdjustmentReport(strict=False))
    assert len(compiled.body["tools"]) == len(names)
    assert time.process_time() - begun < 5


async def test_a_choice_among_no_tools_leaves_none(server: StrictAnthropic) -> None:
    none = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}
    body, response = await sent(server, ask(tools=[WEATHER], tool_choice="auto", extra={"tool_choice": none}))
    assert "tools" not in body
    assert "tool_choice" not in body
    assert adjusted(response) == {("tool_choice", "mapped")}


async def test_a_choice_of_another_kind_is_reported(server: StrictAnthropic) -> None:
    extra = {"tool_choice": {"type": "custom", "custom": {"name": "weather"}}}
    body, response = await sent(server, ask(tools=[WEATHER], extra=extra))
    assert "tool_choice" not in body
    assert adjusted(response) == {("tool_choice", "downgraded")}


async def test_forms_of_the_answer(server: StrictAnthropic) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    form = ResponseFormat(type="json_schema", name="x", json_schema=schema, strict=True)
    body, response = await sent(server, ask(response_format=form))
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert [each.action for each in response.adjustments] == ["mapped"]
    bare = ResponseFormat(type="json_schema", json_schema=schema, strict=True)
    body, response = await sent(server, ask(response_format=bare))
    assert response.adjustments == ()
    loose = ResponseFormat(type="json_schema", json_schema=schema, strict=False)
    body, response = await sent(server, ask(response_format=loose, strict=True))
    assert adjusted(response) == {("response_format", "mapped")}
    body, response = await sent(server, ask(model="claude-3-haiku-20240307", response_format=form))
    assert '"additionalProperties":false' in body["system"][-1]["text"]
    assert adjusted(response) == {("response_format", "mapped"), ("response_format", "downgraded")}
    body, response = await sent(server, ask(response_format=ResponseFormat(type="json_object")))
    assert "JSON" in body["system"][-1]["text"]
    assert adjusted(response) == {("response_format", "downgraded")}
    body, _ = await sent(server, ask(response_format=ResponseFormat(type="text")))
    assert "output_config" not in body


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-3-5-haiku-latest"])
async def test_the_description_of_a_form_stands_in_its_schema(server: StrictAnthropic, model: str) -> None:
    form = ResponseFormat(type="json_schema", description="A town.", json_schema={"type": "object"})
    body, _ = await sent(server, ask(model=model, response_format=form))
    if "output_config" in body:
        assert body["output_config"]["format"]["schema"] == {"description": "A town.", "type": "object"}
    else:
        assert body["system"][-1]["text"].endswith('{"description":"A town.","type":"object"}')


async def test_media(server: StrictAnthropic) -> None:
    marked = {"anthropic": {"cache_control": {"type": "ephemeral"}}}
    from_client = {OPENAI_CHAT: {"cache_control": {"type": "ephemeral"}, "citations": {"enabled": True}, "other": 1}}
    request = ask(
        [
            user(
                ImagePart(data=PNG, media_type="image/png", provider_metadata=marked),
                ImagePart(url="https://example.org/a.png"),
                FilePart(data=PNG, media_type="application/pdf", filename="a.pdf", provider_metadata=from_client),
                FilePart(url="https://example.org/a.pdf", media_type="application/pdf"),
                FilePart(data=base64.b64encode(b"one,two").decode(), media_type="text/csv"),
                FilePart(file_id="file_1"),
                TextPart(text="See", provider_metadata=from_client),
            )
        ]
    )
    body, response = await sent(server, request)
    cached = {"cache_control": {"type": "ephemeral"}}
    assert body["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}, **cached},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PNG},
            "title": "a.pdf",
            "citations": {"enabled": True},
            **cached,
        },
        {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "one,two"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        said("See", **cached),
    ]
    assert server.asked[-1].headers["anthropic-beta"] == "files-api-2025-04-14"
    assert adjusted(response) == {("other", "dropped"), ("citations", "dropped")}


async def test_media_that_it_does_not_take(server: StrictAnthropic) -> None:
    audio = FilePart(data=PNG, media_type="audio/wav")
    picture = ImagePart(data=PNG, media_type="image/tiff")
    body, response = await sent(server, ask([user(TextPart(text="Hear"), audio, picture, OpaquePart())]))
    assert body["messages"][0]["content"] == [said("Hear")]
    assert adjusted(response) == {("file", "dropped"), ("image", "dropped"), ("content", "dropped")}


async def test_a_conversation_of_others(server: StrictAnthropic) -> None:
    """Everything at once that other vendors' conversations have and Anthropic refuses."""
    theirs = {"gemini": {"thoughtSignature": "x"}}
    messages = [
        text_message("system", "Be kind."),
        text_message("assistant", "Welcome!"),
        text_message("user", "  "),
        user(TextPart(text="A"), ImagePart(data=PNG, media_type="image/png")),
        text_message("user", "B"),
        assistant(),
        assistant(
            ReasoningPart(text="Two.", provider_metadata=theirs),
            ToolCallPart(id="functions.weather:0", name="weather", arguments='{"city":'),
            ToolCallPart(id="functions weather 0", name="weather"),
            ToolCallPart(id="lost", name="weather", arguments="[]"),
        ),
        tool(ToolResultPart(tool_call_id="functions weather 0", content="2", is_error=True)),
        tool(
            ToolResultPart(
                tool_call_id="functions.weather:0",
                content=(TextPart(text="1"), ImagePart(data=PNG, media_type="image/png")),
            )
        ),
        tool(ToolResultPart(tool_call_id="stray", content="late", name="weather")),
        assistant(ToolCallPart(id="functions.weather:0", name="weather")),
        tool(ToolResultPart(tool_call_id="functions.weather:0", content="")),
        assistant(RefusalPart(text="I will not."), ImagePart(data=PNG), OpaquePart(provider_metadata=theirs)),
        text_message("user", "Why?"),
        assistant(ReasoningPart(text="broken off")),
        text_message("user", "Go on"),
    ]
    body, response = await sent(server, ask(messages, model="claude-haiku-4-5"))
    assert body["system"] == [said("Be kind.")]
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    assert body["messages"] == [
        {"role": "user", "content": [said("(nothing was said)")]},
        {"role": "assistant", "content": [said("Welcome!")]},
        {"role": "user", "content": [said("A"), image, said("B")]},
        {
            "role": "assistant",
            "content": [
                {
                    "type": "tool_use",
                    "id": "functions_weather_0",
                    "name": "weather",
                    "input": {"INVALID_JSON": '{"city":'},
                },
                {"type": "tool_use", "id": "functions_weather_0_2", "name": "weather", "input": {}},
                {"type": "tool_use", "id": "lost", "name": "weather", "input": {"INVALID_JSON": "[]"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "functions_weather_0", "content": [said("1"), image]},
                {"type": "tool_result", "tool_use_id": "functions_weather_0_2", "content": "2", "is_error": True},
                {"type": "tool_result", "tool_use_id": "lost", "content": "no result was given", "is_error": True},
                said("Result of weather:"),
                said("late"),
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "functions_weather_0_3", "name": "weather", "input": {}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "functions_weather_0_3", "content": ""}]},
        {"role": "assistant", "content": [said("I will not."), said("[image]")]},
        {"role": "user", "content": [said("Why?"), said("Go on")]},
    ]
    assert adjusted(response) == {
        ("message", "mapped"),
        ("reasoning", "dropped"),
        ("tool_call", "mapped"),
        ("tool_result", "mapped"),
        ("image", "downgraded"),
        ("opaque", "dropped"),
    }


async def test_its_own_thoughts_come_back_in_place(server: StrictAnthropic) -> None:
    redacted = ReasoningPart(provider_metadata={"anthropic": {"redacted": signature("hidden")}})
    history = [*HELLO, assistant(ReasoningPart(text="Hm", provider_metadata=OWN), redacted, CITY), tool(SUNNY)]
    body, response = await sent(server, ask(history, model="claude-haiku-4-5", reasoning_effort="low"))
    assert body["messages"][1]["content"][:2] == [
        {"type": "thinking", "thinking": "Hm", "signature": signature("own")},
        {"type": "redacted_thinking", "data": signature("hidden")},
    ]
    assert body["thinking"]["type"] == "enabled"
    assert adjusted(response) == {("reasoning_effort", "mapped")}
    body, _ = await sent(server, ask(history))
    assert body["thinking"] == {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    body, response = await sent(server, ask(history, model="claude-3-haiku-20240307", strict=True))
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use"]
    assert adjusted(response) == {("reasoning", "dropped")}


async def test_a_turn_that_others_began_goes_on_without_thought(server: StrictAnthropic) -> None:
    history = [*HELLO, assistant(CITY), tool(SUNNY)]
    body, response = await sent(server, ask(history, model="claude-haiku-4-5", reasoning_effort="high"))
    assert "thinking" not in body
    assert adjusted(response) == {("reasoning_effort", "dropped")}


async def test_its_own_tools_come_back_in_pairs(server: StrictAnthropic) -> None:
    def opaque(**block: Any) -> OpaquePart:
        return OpaquePart(provider_metadata={"anthropic": {"block": block}})

    pair = (
        opaque(type="server_tool_use", id="srv_1", name="web_search", input={}),
        opaque(type="web_search_tool_result", tool_use_id="srv_1", content=[]),
    )
    connected = (
        opaque(type="mcp_tool_use", id="mcp_1", name="x", server_name="s", input={}),
        opaque(type="mcp_tool_result", tool_use_id="mcp_1", content=[]),
    )
    half = opaque(type="server_tool_use", id="srv_2", name="web_search", input={})
    history = [*HELLO, assistant(*pair, *connected, half, TextPart(text="Found.")), text_message("user", "More")]
    body, response = await sent(server, ask(history))
    kinds = [block["type"] for block in body["messages"][1]["content"]]
    assert kinds == ["server_tool_use", "web_search_tool_result", "text"]
    assert adjusted(response) == {("opaque", "dropped")}
    servers = [{"type": "url", "url": "https://example.org", "name": "s"}]
    betas = {"mcp_servers": servers, "betas": ["mcp-client-2025-04-04"]}
    body, _ = await sent(server, ask(history, extra=betas), betas="context-1m-2025-08-07")
    assert len(body["messages"][1]["content"]) == 5
    assert server.asked[-1].headers["anthropic-beta"] == "context-1m-2025-08-07,mcp-client-2025-04-04"


def test_names_of_betas_that_no_header_can_hold_are_no_setting() -> None:
    with pytest.raises(ValidationError):
        AnthropicSettings(betas="a\nb")


async def test_system_prompts_in_the_middle(server: StrictAnthropic) -> None:
    kept = [text_message("system", "One"), *HELLO, text_message("system", "Two"), text_message("assistant", "Hi")]
    kept += [text_message("user", "And?"), text_message("system", "Three")]
    body, response = await sent(server, ask(kept))
    assert [turn["role"] for turn in body["messages"]] == ["user", "system", "assistant", "user", "system"]
    assert (body["system"], response.adjustments) == ([said("One")], ())
    moved = [*HELLO, text_message("assistant", "Hi"), text_message("system", "Two"), text_message("user", "And?")]
    body, response = await sent(server, ask(moved))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user", "system"]
    assert adjusted(response) == {("system", "mapped")}
    for place in (moved, kept):
        body, response = await sent(server, ask(place, model="claude-sonnet-5"))
        assert body["system"][-1] in (said("Two"), said("Three"))
        assert adjusted(response) == {("system", "mapped")}
    body, response = await sent(
        server, ask([*moved[:3], text_message("assistant", "Again"), text_message("user", "?")])
    )
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user", "system"]
    body, response = await sent(server, ask(moved[:3], model="claude-opus-4-8"))
    assert body["system"] == [said("Two")]


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-haiku-4-5"])
async def test_the_user_shows_what_a_system_prompt_has_beside_text(server: StrictAnthropic, model: str) -> None:
    shown = ImagePart(data="AAAA", media_type="image/png")
    prompt = Message(role="system", parts=(TextPart(text="S"), shown))
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    hello, later = {"type": "text", "text": "Hello"}, {"type": "text", "text": "Hi"}
    for history, wanted in (
        ([prompt, *HELLO], [image, hello]),
        ([prompt], [image, {"type": "text", "text": "(nothing was said)"}]),
        ([*HELLO, prompt], [hello, image]),
    ):
        body, response = await sent(server, ask(history, model=model, strict=True))
        assert body["messages"][0]["content"] == wanted
        assert ("system", "mapped") in adjusted(response)
    body, _ = await sent(server, ask([*HELLO, assistant(TextPart(text="Hi")), prompt, *HELLO], model=model))
    assert [turn["content"] for turn in body["messages"][:3]] == [[hello], [later], [image, hello]]


async def test_a_conversation_of_system_prompts_alone(server: StrictAnthropic) -> None:
    body, response = await sent(server, ask([text_message("system", "Greet.")]))
    assert body["messages"] == [{"role": "user", "content": [said("(nothing was said)")]}]
    assert adjusted(response) == {("message", "mapped")}


async def test_the_beginning_of_an_answer(server: StrictAnthropic) -> None:
    begun = [*HELLO, text_message("assistant", "I say ")]
    body, response = await sent(server, ask(begun, model="claude-haiku-4-5"))
    assert (body["messages"][-1]["content"], response.adjustments) == ([said("I say")], ())
    body, response = await sent(server, ask(begun))
    assert body["messages"][-1] == {"role": "user", "content": [said("Go on.")]}
    assert adjusted(response) == {("message", "downgraded")}


async def test_the_body_of_a_client_of_its_dialect_is_kept(server: StrictAnthropic) -> None:
    theirs = {
        "model": "anthropic/claude-sonnet-5-5",
        "max_tokens": 5,
        "stream": False,
        "messages": [{"role": "user", "content": "Hi"}],
        "system": "Short.",
        "context_management": {"edits": []},
    }
    headers = {"anthropic-beta": "a-2026-01-01,b", "anthropic-version": "2026-10-21", "x-other": "1"}
    native = NativeRequest(ANTHROPIC_MESSAGES, theirs, headers)
    body, response = await sent(server, ask(native=native, temperature=0.5), betas="b,c")
    assert body == {**theirs, "model": "claude-sonnet-5-5"}
    assert response.adjustments == ()
    assert response.native is not None
    assert response.native.dialect == ANTHROPIC_MESSAGES
    assert server.asked[-1].headers["anthropic-beta"] == "a-2026-01-01,b,c"
    assert server.asked[-1].headers["anthropic-version"] == "2026-10-21"
    assert "x-other" not in server.asked[-1].headers
    body, _ = await sent(server, ask(native=native, stream=True))
    assert body["stream"] is True


async def test_the_options_of_a_client_of_its_dialect_are_kept_with_another_conversation(
    server: StrictAnthropic,
) -> None:
    theirs = {
        "model": "anthropic/claude-sonnet-5-5",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "Old"}],
        "system": "Old",
        "tools": [{"name": "weather", "input_schema": {"type": "object"}, "eager_input_streaming": True}],
        "thinking": {"type": "between_tools"},
    }
    options = NativeRequest(ANTHROPIC_MESSAGES, theirs, {"anthropic-beta": "a"})
    messages = [text_message("system", "New"), *HELLO]
    body, _ = await sent(server, ask(messages, native_options=options, reasoning_effort="high", max_tokens=9))
    assert body == {
        **theirs,
        "model": "claude-sonnet-5-5",
        "system": [said("New")],
        "messages": [{"role": "user", "content": [said("Hello")]}],
    }
    assert server.asked[-1].headers["anthropic-beta"] == "a"


async def test_blocks_of_a_client_of_its_dialect(server: StrictAnthropic) -> None:
    found = {"type": "search_result", "source": "s", "title": "t", "content": [said("x")]}
    noted = {ANTHROPIC_MESSAGES: {"block": found}}
    thought = ReasoningPart(text="Hm", provider_metadata={ANTHROPIC_MESSAGES: {"signature": signature("client")}})
    messages = [user(TextPart(text="t", provider_metadata=noted)), assistant(thought, TextPart(text="So")), *HELLO]
    body, response = await sent(server, ask(messages, model="claude-haiku-4-5"))
    assert body["messages"][0]["content"] == [found]
    assert body["messages"][1]["content"][0]["signature"] == signature("client")
    assert response.adjustments == ()


async def test_a_stream_is_the_same_request(server: StrictAnthropic) -> None:
    whole, first = await sent(server, ask(tools=[WEATHER]))
    streamed, second = await sent(server, ask(tools=[WEATHER], stream=True))
    assert streamed == {**whole, "stream": True}
    assert (second.choices, second.usage) == (first.choices, first.usage)


async def test_the_strict_server_refuses(server: StrictAnthropic) -> None:
    """The judge itself: what a careless client sends is refused, with every reason."""
    careless = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 5,
        "temperature": 0.5,
        "n": 1,
        "messages": [{"role": "assistant", "content": ""}],
        "tool_choice": {"type": "any"},
        "thinking": {"type": "enabled", "budget_tokens": 9},
    }
    async with ClientSession() as client, client.post(f"{server.url}/v1/messages", json=careless) as refused:
        assert refused.status == 400
    rules = {problem.partition(":")[0] for problem in server.asked[-1].problems}
    assert rules == {"headers", "fields", "turns", "blocks", "tools", "thinking", "sampling"}


def test_the_time_for_calls_and_results_grows_with_their_number() -> None:
    ids = [f"call_{number}" for number in range(20_000)] + ["call"] * 20_000
    calls = [ToolCallPart(id=id_, name="f", arguments="{}") for id_ in ids]
    results = [ToolResultPart(tool_call_id=id_, content="x") for id_ in reversed(ids)]
    conversation = Conversation("anthropic", traits_of("claude-opus-4-8"), AdjustmentReport(strict=False))
    begun = time.process_time()
    conversation.compile([text_message("user", "hi"), assistant(*calls), Message(role="tool", parts=tuple(results))])
    made, given = (conversation.turns[place]["content"] for place in (1, 2))
    assert [block["id"] for block in made] == [block["tool_use_id"] for block in given]
    assert len({block["id"] for block in made}) == len(ids)
    assert time.process_time() - begun < 15

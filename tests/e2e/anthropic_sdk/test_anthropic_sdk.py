"""Anthropic's SDK, as applications use it, over providers that are not Anthropic."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from pydantic import BaseModel

from fake_providers.scripted import ScriptedProvider, Step, answer
from orchestrator_core.provider_api import (
    ChatRequest,
    FilePart,
    Finish,
    ImagePart,
    ProviderFailed,
    ProviderRateLimited,
    ReasoningDelta,
    ReasoningPart,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from scripted_gateway import Served, served

ECHO, SCRIPTED = "echo/echo-1", "scripted/m"
QUESTION: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOLS: list[Any] = [
    {
        "name": name,
        "description": "Tells something.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    for name in ("weather", "time")
]


def asked(gateway: Served) -> ChatRequest:
    request = gateway.plugins["scripted"].requests[-1]
    assert isinstance(request, ChatRequest)
    return request


async def test_an_answer_and_its_headers(client: AsyncAnthropic) -> None:
    raw = await client.messages.with_raw_response.create(model=ECHO, max_tokens=100, messages=QUESTION)
    message = await raw.parse()
    assert [block.text for block in message.content if block.type == "text"] == [
        "You said: What is the weather in Paris?"
    ]
    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (6, 8)
    assert message._request_id == raw.headers["x-request-id"]
    assert raw.headers["x-orchestrator-provider"] == "echo"
    assert raw.headers["x-orchestrator-model"] == "echo-1"


async def test_a_stream_and_its_helper(client: AsyncAnthropic) -> None:
    events = await client.messages.create(model=ECHO, max_tokens=3, messages=QUESTION, stream=True)
    kinds = [event.type async for event in events]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    async with client.messages.stream(model=ECHO, max_tokens=3, messages=QUESTION) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text == "You said: What"
    assert final.stop_reason == "max_tokens"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (6, 3)


async def test_the_synchronous_client(gateway: Served) -> None:
    def ask() -> tuple[str, str, int]:
        with Anthropic(api_key="anything", base_url=gateway.url, max_retries=0) as client:
            whole = client.messages.create(model=ECHO, max_tokens=100, messages=QUESTION)
            with client.messages.stream(model=ECHO, max_tokens=100, messages=QUESTION) as stream:
                text = "".join(stream.text_stream)
            counted = client.messages.count_tokens(model=ECHO, messages=QUESTION)
        (block,) = whole.content
        assert block.type == "text"
        return block.text, text, counted.input_tokens

    whole, streamed, tokens = await asyncio.to_thread(ask)
    assert whole == streamed == "You said: What is the weather in Paris?"
    assert 10 <= tokens <= 25


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_to_and_fro(client: AsyncAnthropic, streamed: bool) -> None:
    said: list[Any] = [{"role": "user", "content": 'call weather {"city": "Paris"} and call time {"city": "Rome"}'}]
    arguments: dict[str, Any] = {"model": ECHO, "max_tokens": 100, "tools": TOOLS}
    if streamed:
        async with client.messages.stream(messages=said, **arguments) as stream:
            message: Any = await stream.get_final_message()
    else:
        message = await client.messages.create(messages=said, **arguments)
    assert message.stop_reason == "tool_use"
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [("weather", {"city": "Paris"}), ("time", {"city": "Rome"})]
    results = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": "sunny"},
        {"type": "tool_result", "tool_use_id": calls[1].id, "content": [{"type": "text", "text": "noon"}]},
    ]
    history = [*said, {"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
    final = await client.messages.create(messages=history, **arguments)
    assert "sunny" in final.content[0].text
    assert "noon" in final.content[0].text


async def test_the_choice_of_tools(client: AsyncAnthropic) -> None:
    choices: list[tuple[Any, list[str]]] = [
        ({"type": "tool", "name": "time"}, ["time"]),
        ({"type": "any"}, ["weather"]),
        ({"type": "none"}, []),
    ]
    for choice, names in choices:
        message = await client.messages.create(
            model=ECHO, max_tokens=100, messages=QUESTION, tools=TOOLS, tool_choice=choice
        )
        assert [block.name for block in message.content if block.type == "tool_use"] == names


async def test_calls_in_fragments_side_by_side(gateway: Served, client: AsyncAnthropic) -> None:
    script: list[Step] = [
        Start(),
        ToolCallDelta(index=0, id="a", name="weather", arguments='{"city": '),
        ToolCallDelta(index=1, id="b", name="time", arguments='{"city"'),
        ToolCallDelta(index=0, arguments='"Paris"}'),
        ToolCallDelta(index=1, arguments=': "Rome"}'),
        Finish(reason="tool_calls"),
    ]
    gateway.plugins["scripted"].scripts.append(script)
    async with client.messages.stream(model=SCRIPTED, max_tokens=9, messages=QUESTION, tools=TOOLS) as stream:
        message = await stream.get_final_message()
    assert [block.input for block in message.content if block.type == "tool_use"] == [
        {"city": "Paris"},
        {"city": "Rome"},
    ]


async def test_thoughts_and_notes_come_back_to_their_provider(gateway: Served, client: AsyncAnthropic) -> None:
    thought, call = {"scripted": {"encrypted": "e"}}, {"scripted": {"signature": "s"}}
    script: list[Step] = [
        Start(),
        ReasoningDelta(text="h"),
        ReasoningDelta(text="m", provider_metadata=thought),
        ReasoningDelta(block=1, provider_metadata=thought),
        TextDelta(text="Let me see."),
        ToolCallDelta(id="c", name="weather", arguments='{"city":"Paris"}', provider_metadata=call),
        UsageReport(usage=Usage(1, 2, 3, 4, 5)),
        Finish(reason="tool_calls"),
    ]
    gateway.plugins["scripted"].scripts.append(script)
    thinking: Any = {"type": "enabled", "budget_tokens": 2048}
    async with client.messages.stream(
        model=SCRIPTED, max_tokens=9000, messages=QUESTION, tools=TOOLS, thinking=thinking
    ) as stream:
        message = await stream.get_final_message()
    assert asked(gateway).reasoning_effort == "low"
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (1, 2, 3)
    assert usage.output_tokens == 9
    assert usage.output_tokens_details
    assert usage.output_tokens_details.thinking_tokens == 5
    history: list[Any] = [
        *QUESTION,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "sunny"}]},
    ]
    await client.messages.create(model=SCRIPTED, max_tokens=9, messages=history, tools=TOOLS)
    first, second, _, third = asked(gateway).messages[1].parts
    assert first == ReasoningPart(text="hm", provider_metadata=thought)
    assert second == ReasoningPart(provider_metadata=thought)
    assert third.provider_metadata == call


async def test_what_is_seen_and_what_is_asked(gateway: Served, client: AsyncAnthropic) -> None:
    picture: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    paper: Any = {"type": "document", "source": {"type": "url", "url": "https://a.test/b.pdf"}, "title": "B"}
    raw = await client.beta.messages.with_raw_response.create(
        model=SCRIPTED,
        max_tokens=9,
        system=[{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}],
        messages=[{"role": "user", "content": [picture, paper, {"type": "text", "text": "What is it?"}]}],
        stop_sequences=["\n"],
        metadata={"user_id": "u"},
        betas=["context-1m-2025-08-07"],
    )
    assert raw.headers["x-orchestrator-dropped"] == "cache_control, metadata"
    request = asked(gateway)
    assert [message.role for message in request.messages] == ["system", "user"]
    image, file, _ = request.messages[1].parts
    assert image == ImagePart(data="aGk=", media_type="image/png")
    assert isinstance(file, FilePart)
    assert (file.url, file.filename) == ("https://a.test/b.pdf", "B")
    assert request.stop == ("\n",)
    assert request.native_options is not None
    assert request.native_options.headers["anthropic-beta"] == "context-1m-2025-08-07"
    assert request.native_options.headers["anthropic-version"]


async def test_parse(client: AsyncAnthropic) -> None:
    class Weather(BaseModel):
        city: str
        celsius: float

    message = await client.messages.parse(model=ECHO, max_tokens=100, messages=QUESTION, output_format=Weather)
    assert isinstance(message.parsed_output, Weather)


async def test_count_tokens_is_an_estimate_that_says_so(client: AsyncAnthropic) -> None:
    raw = await client.messages.with_raw_response.count_tokens(model=ECHO, messages=QUESTION, tools=TOOLS)
    counted = await raw.parse()
    assert counted.input_tokens > 40
    assert counted.model_dump()["estimated"] is True
    assert raw.headers["x-orchestrator-estimated"] == "input_tokens"


async def test_errors(gateway: Served, client: AsyncAnthropic) -> None:
    wrong: list[Any] = [{"role": "user", "content": 5}]
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.0\.content"):
        await client.messages.create(model=ECHO, max_tokens=9, messages=wrong)
    with pytest.raises(anthropic.NotFoundError, match="provider/model"):
        await client.messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=QUESTION)
    gateway.plugins["scripted"].scripts.append([ProviderRateLimited("Slow down.", retry_after=10_000.0)])
    with pytest.raises(anthropic.RateLimitError) as limited:
        await client.messages.create(model=SCRIPTED, max_tokens=9, messages=QUESTION)
    assert limited.value.response.headers["retry-after"] == "10000"
    assert limited.value.request_id == limited.value.response.headers["x-request-id"]
    with pytest.raises(anthropic.BadRequestError, match="metadata"):
        await client.messages.create(
            model=ECHO,
            max_tokens=9,
            messages=QUESTION,
            metadata={"user_id": "u"},
            extra_headers={"X-Orchestrator-Strict": "true"},
        )


async def test_a_stream_that_breaks_off_is_an_error(gateway: Served, client: AsyncAnthropic) -> None:
    gateway.plugins["scripted"].scripts.append([Start(), TextDelta(text="Sun"), ProviderFailed("Broken.")])
    seen = ""

    async def read() -> None:
        nonlocal seen
        async with client.messages.stream(model=SCRIPTED, max_tokens=9, messages=QUESTION) as stream:
            async for piece in stream.text_stream:
                seen += piece

    with pytest.raises(anthropic.APIStatusError, match="Broken"):
        await read()
    assert seen == "Sun"


async def test_a_session_has_the_history(gateway: Served, client: AsyncAnthropic) -> None:
    session = (await gateway.post("/api/sessions", {})).json["session_id"]
    gateway.plugins["scripted"].scripts.extend([answer("Paris."), answer("Two million.")])
    for text in ("The capital of France?", "How many people?"):
        message = await client.messages.create(
            model=SCRIPTED,
            max_tokens=9,
            messages=[{"role": "user", "content": text}],
            extra_headers={"X-Session-Id": session},
        )
        assert message.stop_reason == "end_turn"
    assert [message.text for message in asked(gateway).messages] == [
        "The capital of France?",
        "Paris.",
        "How many people?",
    ]


async def test_the_credentials_of_the_client(tmp_path: Path) -> None:
    key = "client-key-of-forty-characters-0123456789"
    async with served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_CLIENT_KEY": key}) as gateway:
        for credential in ({"api_key": key}, {"auth_token": key}):
            async with AsyncAnthropic(**credential, base_url=gateway.url, max_retries=0) as client:  # type: ignore[arg-type]  # either of two texts
                message = await client.messages.create(model=SCRIPTED, max_tokens=9, messages=QUESTION)
                assert message.stop_reason == "end_turn"
        async with AsyncAnthropic(api_key="wrong", base_url=gateway.url, max_retries=0) as client:
            with pytest.raises(anthropic.AuthenticationError):
                await client.messages.create(model=SCRIPTED, max_tokens=9, messages=QUESTION)

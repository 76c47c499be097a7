"""The echo as core calls it, and whatever it may be told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.plugins import Provider
from orchestrator_core.provider_api import (
    HOOKS,
    ChatEvent,
    ChatRequest,
    ChatResponse,
    Deadline,
    EmbeddingRequest,
    Finish,
    HealthRequest,
    ImagePart,
    InvalidRequest,
    Message,
    NamedTool,
    ProviderBadResponse,
    ProviderContext,
    ReasoningPart,
    ResponseFormat,
    Secret,
    Start,
    SummarizeRequest,
    SummaryChat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    UnsupportedParameter,
    UpstreamClient,
    UsageReport,
    one_by_one,
    text_message,
)
from orchestrator_echo import EchoProvider
from orchestrator_echo.provider import EchoSettings

TOOLS = [Tool(name="weather"), Tool(name="clock")]


def provider(**settings: Any) -> Provider:
    return Provider(EchoProvider(ProviderContext("echo", EchoSettings(**settings), cast("UpstreamClient", None))))


async def events(*messages: Message, **options: Any) -> Sequence[ChatEvent]:
    request = ChatRequest(model="echo-1", messages=messages, deadline=Deadline.after(5), **options)
    async with aclosing(one_by_one(provider().chat(request))) as stream:
        return [event async for event in stream]


async def answer(*messages: Message, **options: Any) -> ChatResponse:
    fold = Fold()
    for event in await events(*messages, **options):
        fold.add(event)
    return fold.response()


def user(text: str) -> Message:
    return text_message("user", text)


def test_it_needs_no_key_and_implements_every_hook() -> None:
    echo = provider()

    assert echo.configured
    assert echo.hooks == HOOKS
    assert echo.validate_key(Secret("any-key-at-all-0123")).valid
    assert not echo.validate_key(Secret("not one\n")).valid


async def test_its_health_is_good_and_names_its_models() -> None:
    echo = provider()
    await echo.health(HealthRequest(deadline=Deadline.after(1)))

    assert (echo.healthy, echo.health_detail) == (True, None)
    assert [model.id for model in echo.models] == ["echo-1", "echo-embed"]


async def test_parallel_calls_and_their_results_one_by_one() -> None:
    said = user('call weather {"city": "Paris"} and call clock {}')
    called = (await answer(said, tools=TOOLS)).message
    results = Message(
        role="tool",
        parts=tuple(ToolResultPart(tool_call_id=call.id, content=f"the {call.name}") for call in called.tool_calls),
    )
    text = (await answer(said, called, results, tools=TOOLS)).message.text

    assert [(call.id, call.name, call.arguments) for call in called.tool_calls] == [
        ("call_0", "weather", '{"city": "Paris"}'),
        ("call_1", "clock", "{}"),
    ]
    assert text == "The tool call_0 returned: the weather\nThe tool call_1 returned: the clock"


async def test_results_in_several_messages_keep_their_order_and_their_parts() -> None:
    image = ImagePart(data="eA==", media_type="image/png")
    parts = (TextPart(text="two"), image, TextPart(text="three"))
    found = await answer(
        user("go"),
        Message(role="assistant", parts=(ToolCallPart(id="a", name="f"), ToolCallPart(id="b", name="f"))),
        Message(role="tool", parts=(ToolResultPart(tool_call_id="a", content="one", name="f"),)),
        Message(role="tool", parts=(ToolResultPart(tool_call_id="b", content=parts),)),
    )

    assert found.message.text == "The tool f returned: one\nThe tool b returned: two three"


async def test_arguments_nested_beyond_reason_are_left_out() -> None:
    found = await answer(user("call weather " + '{"a":' * 100_000), tools=TOOLS)

    assert [call.arguments for call in found.message.tool_calls] == ["{}"]


async def test_reasoning_comes_before_the_answer_in_every_choice() -> None:
    found = await answer(user("hi"), reasoning_effort="high", n=2)

    assert len(found.choices) == 2
    for choice in found.choices:
        assert [type(part) for part in choice.message.parts] == [ReasoningPart, TextPart]
    silent = await answer(user("hi"), reasoning_effort="none")
    assert [type(part) for part in silent.message.parts] == [TextPart]


async def test_strictly_it_refuses_what_it_does_not_know() -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        await answer(user("x"), extra={"safe_prompt": True}, strict=True)
    assert refused.value.param == "safe_prompt"

    request = EmbeddingRequest(model="m", input=["a"], deadline=Deadline.after(1), extra={"x": 1}, strict=True)
    with pytest.raises(UnsupportedParameter):
        await provider().embed(request)


async def test_closing_the_answer_ends_it() -> None:
    echo = provider(delay=5.0)
    request = ChatRequest(model="echo-1", messages=[user("a b c")], deadline=Deadline.after(5))
    async with asyncio.timeout(1), aclosing(one_by_one(echo.chat(request))) as stream:
        assert isinstance(await anext(stream), Start)
        await anext(stream)


@pytest.mark.parametrize("dimensions", [0, -1, 4097])
async def test_dimensions_out_of_range_are_refused(dimensions: int) -> None:
    request = EmbeddingRequest(model="m", input=["a"], deadline=Deadline.after(1), dimensions=dimensions)
    with pytest.raises(InvalidRequest) as refused:
        await provider().embed(request)
    assert refused.value.param == "dimensions"


async def test_embeddings_come_in_the_order_of_their_inputs() -> None:
    echo = provider()

    async def vectors(*texts: str) -> Sequence[Sequence[float]]:
        response = await echo.embed(EmbeddingRequest(model="m", input=texts, deadline=Deadline.after(1)))
        return response.vectors

    one, two = await vectors("one", "two")
    assert one != two
    assert await vectors("two", "one") == [two, one]
    tokens = EmbeddingRequest(model="m", input=[[1, 2], [1]], deadline=Deadline.after(1))
    assert [len(vector) for vector in (await echo.embed(tokens)).vectors] == [16, 16]


async def test_a_summary_asks_no_model_and_keeps_to_its_limit() -> None:
    request = SummarizeRequest(
        messages=[user("Ada was born in 1815 in London. She met Babbage in 1833 and never forgot it.")],
        chat=cast("SummaryChat", None),
        deadline=Deadline.after(1),
        max_tokens=4,
    )
    summary = await provider().summarize(request)

    assert summary.text
    assert len(summary.text.split()) <= 4
    assert summary.usage is not None
    assert summary.usage.output_tokens <= 4


WORDS = st.text(max_size=30) | st.sampled_from(["call weather", 'call clock {"zone": [1, {}]}', "call weather {"])
MESSAGES = st.lists(
    st.builds(text_message, st.sampled_from(["system", "user", "assistant"]), WORDS)
    | st.builds(
        Message,
        role=st.just("tool"),
        parts=st.lists(st.builds(ToolResultPart, tool_call_id=st.just("call_0"), content=WORDS), max_size=2).map(tuple),
    ),
    max_size=5,
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.just(TOOLS),
        "tool_choice": st.sampled_from(["auto", "none", "required", NamedTool(name="clock")]),
        "parallel_tool_calls": st.booleans(),
        "response_format": st.sampled_from([ResponseFormat(type="text"), ResponseFormat(type="json_object")]),
        "max_tokens": st.integers(1, 5),
        "stop": st.lists(st.text(max_size=2), max_size=2),
        "n": st.integers(1, 3),
        "reasoning_effort": st.sampled_from(["none", "low"]),
        "stream": st.booleans(),
    },
)


@given(MESSAGES, OPTIONS)
async def test_any_conversation_has_the_same_whole_answer_each_time(messages: list[Message], options: Any) -> None:
    found = await events(*messages, **options)
    fold = Fold()
    for event in found:
        fold.add(event)
    response = fold.response()

    assert found == await events(*messages, **options)
    assert isinstance(found[0], Start)
    assert sum(isinstance(event, UsageReport) for event in found) == 1
    assert sum(isinstance(event, Finish) for event in found) == len(response.choices) == options.get("n", 1)
    assert response.complete
    for choice in response.choices:
        calls = choice.message.tool_calls
        assert (choice.finish_reason == "tool_calls") == bool(calls)
        assert all(isinstance(json.loads(call.arguments), dict) for call in calls)
        assert len({call.id for call in calls}) == len(calls)
        assert not choice.message.text or not calls
        if "max_tokens" in options:
            assert len(choice.message.text.split()) <= options["max_tokens"]
        assert not any(stop in choice.message.text for stop in options.get("stop", ()) if stop)


@given(MESSAGES, st.none() | st.text())
async def test_a_summary_is_shorter_than_what_it_replaces(messages: list[Message], previous: str | None) -> None:
    request = SummarizeRequest(
        messages=messages, chat=cast("SummaryChat", None), deadline=Deadline.after(1), previous=previous
    )
    source = len(previous or "") + sum(len(message.text) for message in messages)
    try:
        text = (await provider().summarize(request)).text
    except ProviderBadResponse:
        # Three quarters of two letters say nothing, and what nobody said cannot be told.
        assert not any(len(message.text.strip()) > 2 for message in messages)
        return

    assert text.strip()
    assert len(text) < source
    assert text == (await provider().summarize(request)).text

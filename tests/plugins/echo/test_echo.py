from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    ChatResponse,
    Deadline,
    EmbeddingRequest,
    HealthRequest,
    ImagePart,
    InvalidRequest,
    KeyRequest,
    Message,
    NamedTool,
    ProviderContext,
    ResponseFormat,
    Secret,
    Start,
    SummarizeRequest,
    TextDelta,
    TextPart,
    Tool,
    ToolResultPart,
    UnsupportedParameter,
    text_message,
)
from orchestrator_echo import EchoProvider
from orchestrator_echo.answer import MAX_CALLS, MAX_WORDS
from orchestrator_echo.provider import EchoSettings
from orchestrator_echo.summary import summarize
from orchestrator_echo.vectors import embed
from orchestrator_echo.words import READ

WEATHER = Tool(name="weather", parameters={"type": "object"})
CLOCK = Tool(name="clock")
NODE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "maxLength": 3},
                "kind": {"enum": ["leaf", "tree"]},
                "size": {"type": "integer", "minimum": 2},
                "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
            },
            "required": ["name", "kind", "size", "next", "children", "tags"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/Node",
}


def echo(**settings: Any) -> EchoProvider:
    # Whoever has no network needs no client: every use of it would fail.
    return EchoProvider(ProviderContext("echo", EchoSettings(**settings), client=None))  # type: ignore[arg-type]  # above


async def events(*messages: Message, provider: EchoProvider | None = None, **options: Any) -> Sequence[ChatEvent]:
    request = ChatRequest(model="echo-1", messages=messages, deadline=Deadline.after(5), **options)
    async with aclosing((provider or echo()).chat(request)) as stream:
        return [event async for event in stream]


async def answer(*messages: Message, **options: Any) -> ChatResponse:
    fold = Fold()
    for event in await events(*messages, **options):
        fold.add(event)
    return fold.response()


def user(text: str) -> Message:
    return text_message("user", text)


async def test_it_repeats_what_it_is_told_word_by_word() -> None:
    found = await events(user("Hello there,  Ada"))

    assert isinstance(found[0], Start)
    assert [event.text for event in found if isinstance(event, TextDelta)] == [
        "You",
        " said:",
        " Hello",
        " there,",
        "  Ada",
    ]
    assert (await answer(user("Hello there,  Ada"))).message.text == "You said: Hello there,  Ada"


async def test_it_says_how_much_of_the_conversation_it_sees_and_what_it_remembers() -> None:
    summary = text_message("system", "Summary of the conversation so far:\nShe is called Ada.")

    text = (await answer(summary, user("one"), text_message("assistant", "1"), user("two"))).message.text

    assert "You said: two" in text
    assert "2 of your messages" in text
    assert "She is called Ada." in text


async def test_it_counts_words_as_tokens() -> None:
    usage = (await answer(user("four words are here"), n=2, reasoning_effort="low")).usage

    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (4, 12, 12)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('please call weather {"city": {"name": "Paris", "at": "}"}} now', '{"city": {"name": "Paris", "at": "}"}}'),
        ("call weather", "{}"),
        ("call weather {broken", "{}"),
    ],
)
async def test_it_calls_the_tool_that_the_message_names(text: str, arguments: str) -> None:
    response = await answer(user(text), tools=[WEATHER, CLOCK])

    (call,) = response.message.tool_calls
    assert (call.name, call.arguments) == ("weather", arguments)
    assert response.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("text", "choice", "called"),
    [
        ("call weather {} and call clock {}", None, ["weather", "clock"]),
        ("call weather {} and call clock {}", NamedTool(name="clock"), ["clock"]),
        ("hello", NamedTool(name="clock"), ["clock"]),
        ("hello", "required", ["weather"]),
        ("call weather {}", "none", []),
        ("call unknown {}", "auto", []),
    ],
)
async def test_it_follows_the_choice_of_tools(text: str, choice: Any, called: Sequence[str]) -> None:
    message = (await answer(user(text), tools=[WEATHER, CLOCK], tool_choice=choice)).message

    assert [call.name for call in message.tool_calls] == called


async def test_one_call_alone_where_they_may_not_be_parallel() -> None:
    response = await answer(user("call weather, call clock"), tools=[WEATHER, CLOCK], parallel_tool_calls=False)

    assert [call.name for call in response.message.tool_calls] == ["weather"]


async def test_it_reports_the_result_of_a_tool_and_gives_every_call_an_id_of_its_own() -> None:
    first = (await answer(user("call weather {}"), tools=[WEATHER])).message
    call = first.tool_calls[0]
    result = Message(role="tool", parts=(ToolResultPart(tool_call_id=call.id, content="sunny", name="weather"),))

    text = (await answer(user("call weather {}"), first, result, tools=[WEATHER])).message.text
    second = (await answer(user("call weather"), first, result, user("call weather"), tools=[WEATHER])).message

    assert "weather returned: sunny" in text
    assert second.tool_calls[0].id != call.id


async def test_an_answer_follows_its_schema_with_references_into_itself() -> None:
    form = ResponseFormat(type="json_schema", json_schema=NODE)

    value = json.loads((await answer(user("Paris"), response_format=form)).message.text)

    jsonschema.validate(value, NODE)
    assert value["name"] == "Par"


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#/$defs/missing"}, {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}],
    ids=["nowhere", "endless"],
)
async def test_a_schema_that_no_value_follows_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidRequest):
        await answer(user("x"), response_format=ResponseFormat(type="json_schema", json_schema=schema))


async def test_a_json_object_where_there_is_no_schema() -> None:
    response = await answer(user("Hi"), response_format=ResponseFormat(type="json_object"))

    assert json.loads(response.message.text) == {"echo": "Hi"}


async def test_limit_stop_and_alternatives() -> None:
    short = await answer(user("a b c d"), max_tokens=3, n=2)
    stopped = await answer(user("a b c d"), stop=["c"])

    assert [choice.message.text for choice in short.choices] == ["You said: a"] * 2
    assert {choice.finish_reason for choice in short.choices} == {"length"}
    assert stopped.message.text == "You said: a b"
    assert stopped.choices[0].finish_reason == "stop"


async def test_images_are_mentioned() -> None:
    image = ImagePart(data="aGk=", media_type="image/png")

    message = Message(role="user", parts=(TextPart(text="Look"), image, image))

    assert (await answer(message)).message.text == "You said: Look [2 images]"


async def test_what_it_does_not_know_is_reported_and_refused_where_the_caller_is_strict() -> None:
    response = await answer(user("x"), extra={"safe_prompt": True})
    assert [adjustment.subject for adjustment in response.adjustments] == ["safe_prompt"]

    with pytest.raises(UnsupportedParameter):
        await answer(user("x"), extra={"safe_prompt": True}, strict=True)


async def test_the_delay_stands_between_words() -> None:
    began = time.monotonic()
    await events(user("three words more"), provider=echo(delay=0.02))

    assert time.monotonic() - began >= 0.08


@pytest.mark.parametrize("delay", [-1.0, math.inf, math.nan])
def test_a_delay_has_an_end(delay: float) -> None:
    with pytest.raises(ValidationError):
        EchoSettings(delay=delay)


async def test_it_is_well_and_lists_its_models_and_takes_any_key() -> None:
    report = await echo().health(HealthRequest(deadline=Deadline.after(1)))

    assert report.healthy
    assert [model.id for model in report.models] == ["echo-1", "echo-embed"]
    assert echo().validate_key(KeyRequest(credential=Secret("any-key-at-all"))).valid


async def test_embeddings_have_the_length_that_is_asked_for() -> None:
    request = EmbeddingRequest(model="echo-embed", input=["a b", "c"], dimensions=24, deadline=Deadline.after(1))
    response = await echo().embed(request)

    assert [len(vector) for vector in response.vectors] == [24, 24]
    assert response.usage is not None
    assert response.usage.input_tokens == 3

    with pytest.raises(InvalidRequest):
        await echo().embed(EmbeddingRequest(model="m", input=["a"], dimensions=10**6, deadline=Deadline.after(1)))


@given(st.one_of(st.text(), st.lists(st.integers(0, 100_000))))
def test_vectors_are_deterministic_and_of_length_one(text: str | list[int]) -> None:
    vector = embed(text)

    assert len(vector) == 16
    assert math.isclose(math.fsum(value * value for value in vector), 1.0, rel_tol=1e-9)
    assert embed(text) == vector


def test_texts_that_share_words_are_closer() -> None:
    def closeness(one: str, other: str) -> float:
        return sum(a * b for a, b in zip(embed(one), embed(other), strict=True))

    assert closeness("the red house", "the red roof") > closeness("the red house", "quarterly tax report")


async def unasked(messages: Sequence[Message], *, max_tokens: int | None = None) -> ChatResponse:
    raise AssertionError("the echo summarises without a model")


async def test_a_summary_keeps_names_and_numbers_and_what_was_known_before() -> None:
    messages = [
        user("My name is Ada and I was born in 1815. well then let us talk about this and that."),
        user("ok go on"),
    ]
    request = SummarizeRequest(
        messages=messages, chat=unasked, deadline=Deadline.after(1), previous="She lives in London."
    )

    summary = await echo().summarize(request)

    assert "Ada" in summary.text
    assert "1815" in summary.text
    assert "London" in summary.text


async def test_a_summary_of_megabytes_holds_what_was_said_last_and_is_small() -> None:
    long = " ".join(f"Ab{number} x." for number in range(400_000))
    request = SummarizeRequest(
        messages=[user(long), user("Her name is Ada.")], chat=unasked, deadline=Deadline.after(60), previous=long
    )

    summary = await echo().summarize(request)

    assert "Ada" in summary.text
    assert len(summary.text) <= READ


async def test_an_answer_to_megabytes_ends_like_that_of_a_model_and_others_have_their_turn_meanwhile() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    answered = await answer(user("a " * 3_000_000))
    waiting.cancel()

    assert answered.choices[0].finish_reason == "length"
    assert len(answered.message.text.split()) == MAX_WORDS
    assert turns > 32
    assert answered.usage is not None
    assert answered.usage.input_tokens == pytest.approx(3_000_000, rel=0.01)


async def test_no_more_calls_than_a_model_makes() -> None:
    assert len((await answer(user("call weather {}" * 10_000), tools=[WEATHER])).message.tool_calls) == MAX_CALLS


async def test_vectors_of_megabytes_are_those_of_their_first_words() -> None:
    words = " ".join(map(str, range(70_000)))

    assert embed(words * 100, 4096) == embed(" ".join(words.split()[:64]), 4096)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}, "minItems": 10**12},
        {
            "$defs": {"a": {"properties": {name: {"$ref": "#/$defs/a"} for name in "abc"}}},
            "$ref": "#/$defs/a",
        },
    ],
)
async def test_a_schema_of_endless_values_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"parts or fewer|small depth"):
        await answer(user("x"), response_format=ResponseFormat(type="json_schema", json_schema=schema))


@given(st.lists(st.text(min_size=1), min_size=1), st.none() | st.text())
def test_a_summary_is_shorter_than_its_source(texts: list[str], previous: str | None) -> None:
    summary = summarize([user(text) for text in texts], previous)

    assert len(summary) < sum(map(len, texts)) + len(previous or "")

"""OpenAI's SDK, as applications use it, through a real gateway."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from orchestrator_openai import OpenAIProvider

MODEL = "openai/gpt-4o-mini"
QUESTION: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def completion(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    return {
        "id": "chatcmpl-upstream",
        "object": "chat.completion",
        "created": 1770000000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        "next_year": {"kept": True},
    }


def events(*chunks: dict[str, Any], done: bool = True) -> str:
    frame = {
        "id": "chatcmpl-upstream",
        "object": "chat.completion.chunk",
        "created": 1770000000,
        "model": "gpt-4o-mini",
    }
    lines = [f"data: {json.dumps({**frame, **chunk})}\n\n" for chunk in chunks]
    return "".join(lines) + ("data: [DONE]\n\n" if done else "")


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def call(arguments: str, **head: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": "weather"} if head else {})
    return delta(tool_calls=[{"index": 0, **head, "function": function}])


async def test_an_answer_and_its_headers(upstream: Any, client: AsyncOpenAI) -> None:
    upstream.play(completion({"content": "Sunny."}))
    raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION, temperature=0)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Sunny."
    assert answer.model == "gpt-4o-mini-2024-07-18"
    assert raw.headers["x-orchestrator-provider"] == "openai"
    assert raw.headers["x-orchestrator-model"] == "gpt-4o-mini-2024-07-18"
    assert raw.headers["x-orchestrator-attempts"] == "1"
    assert float(raw.headers["x-orchestrator-cost"]) > 0
    assert raw.request_id
    path, headers, body = upstream.calls[-1]
    assert path == "/v1/chat/completions"
    assert headers["authorization"].startswith("Bearer sk-proj-")
    assert body["model"] == "gpt-4o-mini"
    assert body["temperature"] == 0


@pytest.mark.parametrize("gateway_url", [OpenAIProvider], indirect=True)
async def test_fields_that_nobody_knows_survive(upstream: Any, client: AsyncOpenAI) -> None:
    upstream.play(completion({"content": "Sunny.", "annotations": [{"new": 1}]}))
    answer = await client.chat.completions.create(model=MODEL, messages=QUESTION, extra_body={"next_year": 1})
    assert answer.model_dump()["next_year"] == {"kept": True}
    assert upstream.calls[-1][2]["next_year"] == 1


async def test_an_alias_and_an_unknown_name(upstream: Any, client: AsyncOpenAI) -> None:
    upstream.play(completion({"content": "ok"}))
    assert (await client.chat.completions.create(model="fast", messages=QUESTION)).choices[0].message.content == "ok"
    assert upstream.calls[-1][2]["model"] == "gpt-4o-mini"
    asked = len(upstream.calls)
    for name in ("gpt-4o-mini", "nobody/gpt-4o-mini"):
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model=name, messages=QUESTION)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        assert "provider/model" in caught.value.message
    assert len(upstream.calls) == asked


async def test_a_stream_with_and_without_usage(upstream: Any, client: AsyncOpenAI) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}
    upstream.play(events(delta(role="assistant", content="Sun"), delta(content="ny."), delta("stop"), usage))
    for options, reported in (({}, []), ({"stream_options": {"include_usage": True}}, [7])):
        stream = await client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True, extra_body=options)
        chunks = [chunk async for chunk in stream]
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Sunny."
        assert [c.usage.total_tokens for c in chunks if c.usage] == reported
        assert all(c.choices for c in chunks) == (not reported)


async def test_tools_in_a_stream(upstream: Any, client: AsyncOpenAI) -> None:
    first = call("", id="call_1", type="function")
    upstream.play(events(delta(role="assistant"), first, call('{"city": '), call('"Paris"}'), delta("tool_calls")))
    async with client.chat.completions.stream(model=MODEL, messages=QUESTION, tools=[TOOL]) as stream:
        final = await stream.get_final_completion()
    tool_calls = final.choices[0].message.tool_calls
    assert tool_calls
    assert tool_calls[0].id == "call_1"
    assert tool_calls[0].function.parsed_arguments == {"city": "Paris"}
    history = [
        *QUESTION,
        final.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    upstream.play(completion({"content": "Sunny."}))
    await client.chat.completions.create(model=MODEL, messages=history, tools=[TOOL])
    sent = upstream.calls[-1][2]["messages"]
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"] == "call_1"


async def test_parse(upstream: Any, client: AsyncOpenAI) -> None:
    class Weather(BaseModel):
        city: str
        celsius: float

    upstream.play(completion({"content": '{"city": "Paris", "celsius": 21.5}'}))
    answer = await client.chat.completions.parse(model=MODEL, messages=QUESTION, response_format=Weather)
    assert answer.choices[0].message.parsed == Weather(city="Paris", celsius=21.5)
    assert upstream.calls[-1][2]["response_format"]["type"] == "json_schema"


async def test_the_synchronous_client(upstream: Any, gateway_url: str) -> None:
    def ask() -> tuple[str | None, str]:
        with OpenAI(api_key="anything", base_url=f"{gateway_url}/v1", max_retries=0) as client:
            upstream.play(completion({"content": "Sunny."}))
            whole = client.chat.completions.create(model=MODEL, messages=QUESTION)
            upstream.play(events(delta(role="assistant", content="Sunny."), delta("stop")))
            with client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True) as stream:
                return whole.choices[0].message.content, "".join(c.choices[0].delta.content or "" for c in stream)

    assert await asyncio.to_thread(ask) == ("Sunny.", "Sunny.")


async def test_embeddings_in_both_forms(upstream: Any, client: AsyncOpenAI) -> None:
    def answer(embedding: Any) -> dict[str, Any]:
        data = [{"object": "embedding", "index": 0, "embedding": embedding}]
        return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}

    upstream.play(answer([0.5, -1.0]))
    model = "openai/text-embedding-3-small"
    floats = await client.embeddings.create(model=model, input="a", encoding_format="float")
    assert floats.data[0].embedding == [0.5, -1.0]
    upstream.play(answer("AAAAPwAAgL8="))
    packed = await client.embeddings.create(model=model, input=["a"])  # the SDK asks for base64 by itself
    assert packed.data[0].embedding == [0.5, -1.0]


async def test_models(client: AsyncOpenAI) -> None:
    listed = [model async for model in client.models.list()]
    ids = {model.id for model in listed}
    assert "fast" in ids
    chosen = next(model.id for model in listed if model.id.startswith("openai/"))
    assert (await client.models.retrieve(chosen)).owned_by == "openai"
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("openai/none")
    assert caught.value.code == "model_not_found"


async def test_errors(upstream: Any, client: AsyncOpenAI) -> None:
    refusal = {"error": {"message": "No.", "type": "invalid_request_error", "param": "messages[0]", "code": "no_way"}}
    upstream.play(refusal, 400)
    with pytest.raises(openai.BadRequestError) as bad:
        await client.chat.completions.create(model=MODEL, messages=QUESTION)
    assert (bad.value.code, bad.value.param, bad.value.type) == ("no_way", "messages[0]", "invalid_request_error")
    upstream.play({"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}, 429)
    with pytest.raises(openai.RateLimitError):
        await client.chat.completions.create(model=MODEL, messages=QUESTION)
    wrong: list[Any] = [{"role": "user", "content": 5}]
    with pytest.raises(openai.BadRequestError) as local:
        await client.chat.completions.create(model=MODEL, messages=wrong)
    assert local.value.param == "messages.0.content"


async def test_a_stream_that_breaks_off_is_an_error(upstream: Any, client: AsyncOpenAI) -> None:
    upstream.play(events(delta(role="assistant", content="Sun"), done=False))
    stream = await client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
    seen = ""

    async def read() -> None:
        nonlocal seen
        async for chunk in stream:
            seen += chunk.choices[0].delta.content or ""

    with pytest.raises(openai.APIError) as caught:
        await read()
    assert seen == "Sun"
    assert caught.value.code == "provider_bad_response"


async def test_a_key_of_the_caller(upstream: Any, client: AsyncOpenAI) -> None:
    own = "sk-proj-" + "Zz9" * 20
    upstream.play(completion({"content": "ok"}))
    await client.chat.completions.create(model=MODEL, messages=QUESTION, extra_headers={"X-Provider-Key": own})
    assert upstream.calls[-1][1]["authorization"] == f"Bearer {own}"

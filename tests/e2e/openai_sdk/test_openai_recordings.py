"""What OpenAI's SDK returns through the gateway is what it returns from the same bytes directly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI


@pytest.fixture
def gateway_url(process_url: str) -> str:
    return process_url


Recordings = Callable[[str], Sequence[dict[str, Any]]]
STAND_IN = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
HIDDEN = {401, 403}
"""Statuses of the upstream about the gateway's own key (docs/explanation/decisions/0008-errors-of-providers.md)."""


def split(body: dict[str, Any], *named: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a body into arguments of the SDK and the rest, which goes into `extra_body`."""
    return {k: body[k] for k in named if k in body}, {k: v for k, v in body.items() if k not in named}


async def chat(client: AsyncOpenAI, body: dict[str, Any], prefix: str) -> Any:
    named, rest = split(body, "messages", "stream")
    rest.pop("model", None)
    model = prefix + (body.get("model") or "gpt-4o")
    answer = await client.chat.completions.create(model=model, **named, extra_body=rest)
    if body.get("stream"):
        return [chunk.model_dump() async for chunk in answer]
    return answer.model_dump()


async def embed(client: AsyncOpenAI, body: dict[str, Any], prefix: str) -> Any:
    named, rest = split(body, "input", "encoding_format")
    named.setdefault("encoding_format", "float")
    rest.pop("model", None)
    answer = await client.embeddings.create(model=prefix + body["model"], **named, extra_body=rest)
    return answer.model_dump(warnings=False)  # the SDK's own type does not know base64


async def test_chat(upstream: Any, direct: AsyncOpenAI, client: AsyncOpenAI, recordings: Recordings) -> None:
    different = {}
    for record in recordings("chat"):
        upstream.play(record["response_body"])
        body = record["request_body"] or STAND_IN
        expected = await chat(direct, body, "")
        got = await chat(client, body, "openai/")
        if got != expected:
            different[record["id"]] = (got, expected)
    assert different == {}


async def test_streams(upstream: Any, direct: AsyncOpenAI, client: AsyncOpenAI, recordings: Recordings) -> None:
    different = {}
    for record in recordings("chat_stream"):
        upstream.play(record["response_body"])
        body = {**(record["request_body"] or STAND_IN), "stream": True}
        if '"usage":{' in record["response_body"]:
            body["stream_options"] = {"include_usage": True}
        expected = await chat(direct, body, "")
        assert expected, record["id"]
        got = await chat(client, body, "openai/")
        if got != expected:
            different[record["id"]] = (got, expected)
    assert different == {}


async def test_embeddings(upstream: Any, direct: AsyncOpenAI, client: AsyncOpenAI, recordings: Recordings) -> None:
    different = []
    for record in recordings("embeddings"):
        upstream.play(record["response_body"])
        body = record["request_body"]
        if await embed(client, body, "openai/") != await embed(direct, body, ""):
            different.append(record["id"])
    assert different == []


async def error_of(call: Any) -> tuple[Any, ...]:
    try:
        await call
    except openai.APIStatusError as error:
        return type(error), error.status_code, error.code, error.param
    raise AssertionError("the call was answered")


async def test_errors(upstream: Any, direct: AsyncOpenAI, client: AsyncOpenAI, recordings: Recordings) -> None:
    different = {}
    for record in recordings("error"):
        if record["surface"] not in ("chat", "embeddings"):
            continue
        ask = chat if record["surface"] == "chat" else embed
        upstream.play(record["response_body"], record["status"])
        expected = await error_of(ask(direct, record["request_body"], ""))
        got = await error_of(ask(client, record["request_body"], "openai/"))
        if record["status"] in HIDDEN:
            expected = (openai.InternalServerError, 502, "provider_auth_failed", None)
        if got != expected:
            different[record["id"]] = (got, expected)
    assert different == {}

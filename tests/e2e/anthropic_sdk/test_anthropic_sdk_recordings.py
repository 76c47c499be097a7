"""What Anthropic's SDK returns through the gateway is what it returns from the same bytes directly."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import jiter
import pytest
from anthropic import AsyncAnthropic

from orchestrator_anthropic import AnthropicProvider
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    hookimpl,
    one_by_one,
)
from orchestrator_openai import OpenAIProvider
from scripted_gateway import Served, served

# The SDK warns of models that were retired since they were recorded.
pytestmark = pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning")

Recordings = Callable[[str], Sequence[dict[str, Any]]]
KEY = "sk-ant-api03-" + "Ab1" * 31 + "AA"
STAND_IN = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
HIDDEN = {401, 403}
"""Statuses of the upstream about the gateway's own key (docs/explanation/decisions/0008-errors-of-providers.md)."""


class TranslatedAnthropic(AnthropicProvider):
    """Anthropic behind the canonical form: no byte of a request or an answer passes through."""

    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        async with aclosing(one_by_one(super().chat(replace(request, native=None)))) as events:
            async for event in events:
                yield event


@pytest.fixture
async def direct(upstream: Any) -> AsyncIterator[AsyncAnthropic]:
    """The SDK, pointed at the upstream itself."""
    async with AsyncAnthropic(api_key="any", base_url=upstream.url, max_retries=0, timeout=30) as sdk:
        yield sdk


@pytest.fixture(params=[AnthropicProvider])
async def gateway(request: pytest.FixtureRequest, upstream: Any, tmp_path: Path) -> AsyncIterator[Served]:
    """A gateway in front of the upstream."""
    environ = {
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": upstream.url,
        "OPENAI_API_KEY": "sk-proj-" + "Ab1" * 20,
        "OPENAI_BASE_URL": f"{upstream.url}/v1",
        "MONITORING_ENABLED": "false",
    }
    async with served(tmp_path, [request.param, OpenAIProvider], environ) as gateway:
        yield gateway


translated = pytest.mark.parametrize("gateway", [TranslatedAnthropic], indirect=True)


async def ask(client: AsyncAnthropic, record: dict[str, Any], prefix: str = "") -> Any:
    """Ask as was recorded; the SDK insists on three fields, and all others go as they are."""
    body = {**(record["request_body"] or STAND_IN)}
    named = {
        "model": prefix + body.pop("model"),
        "max_tokens": body.pop("max_tokens"),
        "messages": body.pop("messages"),
    }
    stream = record["kind"] == "chat_stream" or body.pop("stream", False)
    body.pop("stream", None)
    beta = (record["request_headers"] or {}).get("anthropic-beta")
    headers = {"anthropic-beta": beta} if beta else {}
    answer = await client.messages.create(**named, stream=stream, extra_body=body, extra_headers=headers)
    return [dump(event) async for event in answer] if stream else dump(answer)


def dump(answer: Any) -> Any:
    return answer.model_dump(warnings=False)


async def test_chat(upstream: Any, direct: AsyncAnthropic, client: AsyncAnthropic, recordings: Recordings) -> None:
    different = []
    for record in recordings("anthropic-chat"):
        upstream.play(record["response_body"])
        expected = await ask(direct, record)
        got = await ask(client, record, "anthropic/")
        (sent, wanted), (arrived, body) = upstream.calls[-2:]
        # The same body, but for the order of its fields; the gateway's key in place of the client's.
        if (got, body) != (expected, wanted) or arrived.get("anthropic-beta") != sent.get("anthropic-beta"):
            different.append(record["id"])
        assert arrived["x-api-key"] == KEY
        assert arrived["anthropic-version"] == sent["anthropic-version"]
    assert different == []


async def test_streams(upstream: Any, direct: AsyncAnthropic, client: AsyncAnthropic, recordings: Recordings) -> None:
    different = []
    for record in recordings("anthropic-chat_stream"):
        upstream.play(record["response_body"])
        expected = await ask(direct, record)
        assert expected, record["id"]
        if await ask(client, record, "anthropic/") != expected:
            different.append(record["id"])
    assert different == []


async def test_errors(upstream: Any, direct: AsyncAnthropic, client: AsyncAnthropic, recordings: Recordings) -> None:
    async def error_of(asked: Any) -> tuple[Any, ...]:
        try:
            await asked
        except anthropic.APIStatusError as error:
            return type(error), error.status_code
        raise AssertionError("the call was answered")

    different = {}
    for record in recordings("anthropic-error"):
        upstream.play(record["response_body"], record["status"])
        expected = await error_of(ask(direct, record))
        got = await error_of(ask(client, record, "anthropic/"))
        if record["status"] in HIDDEN:
            expected = (anthropic.InternalServerError, 502)
        if got != expected:
            different[record["id"]] = (got, expected)
    assert different == {}


def gist(message: Any) -> Any:
    """What every translation must keep of a message of Anthropic's own wire."""
    blocks = message["content"]
    used = message["usage"]
    return {
        "text": "".join(block["text"] for block in blocks if block["type"] == "text"),
        "thoughts": "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        "calls": [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
        "stop_reason": message["stop_reason"],
        "usage": [
            used.get(name) or 0
            for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
        ],
    }


async def final(client: AsyncAnthropic, model: str) -> Any:
    """Stream an answer, and put it together as the SDK does."""
    async with client.messages.stream(
        model=model, max_tokens=100, messages=[{"role": "user", "content": "Hello"}]
    ) as stream:
        return dump(await stream.get_final_message())


@translated
async def test_translated_answers(
    upstream: Any, direct: AsyncAnthropic, client: AsyncAnthropic, recordings: Recordings
) -> None:
    different = []
    for record in recordings("anthropic-chat"):
        upstream.play(record["response_body"])
        if gist(await ask(client, record, "anthropic/")) != gist(await ask(direct, record)):
            different.append(record["id"])
    for record in recordings("anthropic-chat_stream"):
        upstream.play(record["response_body"])
        if gist(await final(client, "anthropic/m")) != gist(await final(direct, "m")):
            different.append(record["id"])
    assert different == []


@translated
async def test_thoughts_go_back_signed_through_the_canonical_form(
    upstream: Any, client: AsyncAnthropic, recordings: Recordings
) -> None:
    """A translated answer that is given back reaches Anthropic with the signatures that it gave."""
    asked = 0
    question = {"role": "user", "content": "Hello"}
    for record in recordings("anthropic-chat"):
        said = record["response_body"]["content"]
        thoughts = [block for block in said if block["type"] in ("thinking", "redacted_thinking")]
        if not thoughts:
            continue
        asked += 1
        upstream.play(record["response_body"])
        model: Any = {"model": "anthropic/claude-sonnet-4-6", "max_tokens": 100}
        message = await client.messages.create(messages=[question], **model)  # type: ignore[list-item]  # a plain object
        history: Any = [question, {"role": "assistant", "content": message.content}, question]
        await client.messages.create(messages=history, **model)
        back = upstream.calls[-1][1]["messages"][1]["content"]
        assert [block for block in back if "thinking" in block["type"]] == thoughts, record["id"]
    assert asked


def openai_gist(record: dict[str, Any]) -> Any:
    """What was recorded of OpenAI's, read by hand."""
    if isinstance(record["response_body"], str):
        lines = [line[6:] for line in record["response_body"].splitlines() if line.startswith("data: {")]
        chunks = [json.loads(line) for line in lines]
    else:
        chunks = [record["response_body"]]
    text, usage = "", None
    calls: dict[int, dict[str, str]] = {}
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            piece = choice.get("delta") or choice.get("message") or {}
            if choice["index"] == 0:
                text += (piece.get("content") or "") + (piece.get("refusal") or "")
                for index, call in enumerate(piece.get("tool_calls") or ()):
                    known = calls.setdefault(call.get("index", index), {"name": "", "arguments": ""})
                    for name in known:
                        known[name] += (call.get("function") or {}).get(name) or ""
    # Arguments that were cut off are read as the SDK reads those of a stream.
    found = [
        (call["name"], jiter.from_json(call["arguments"].encode() or b"{}", partial_mode=True))
        for call in calls.values()
    ]
    return text, found, [usage["prompt_tokens"], usage["completion_tokens"]] if usage else [0, 0]


@pytest.mark.parametrize("kind", ["openai-chat", "openai-chat_stream"])
async def test_another_vendors_answers(
    upstream: Any, client: AsyncAnthropic, recordings: Recordings, kind: str
) -> None:
    different = {}
    for record in recordings(kind):
        upstream.play(record["response_body"])
        model: Any = "openai/gpt-4o"
        if kind.endswith("stream"):
            message = await final(client, model)
        else:
            question: Any = [{"role": "user", "content": "Hello"}]
            message = dump(await client.messages.create(model=model, max_tokens=100, messages=question))
        got, expected = gist(message), openai_gist(record)
        calls = [(name, given) for _, name, given in got["calls"]]
        read = (got["text"], calls, [sum(got["usage"][:3]), got["usage"][3]])
        if read != expected:
            different[record["id"]] = (read, expected)
    assert different == {}

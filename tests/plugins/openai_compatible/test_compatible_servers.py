"""Servers that an operator names, with the differences that the settings say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from fake_upstreams.openai_calls import ask, events_of, folded
from fake_upstreams.openai_server import OpenAIServer, chunk, completion
from orchestrator_core.provider_api import (
    Deadline,
    EmbeddingRequest,
    NotSupported,
    ProviderContext,
    ReasoningPart,
    Start,
)
from orchestrator_core.upstream import ClientFactory, UpstreamLimits
from orchestrator_openai_compatible import CompatibleSettings, OpenAICompatibleProvider

Make = Callable[..., OpenAICompatibleProvider]


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def make(server: OpenAIServer) -> AsyncIterator[Make]:
    factory = ClientFactory(UpstreamLimits())

    def provider(**settings: Any) -> OpenAICompatibleProvider:
        values = CompatibleSettings.model_validate({"base_url": server.base_url, **settings})
        return OpenAICompatibleProvider(
            ProviderContext("ollama", values, factory.client(OpenAICompatibleProvider.info.auth))
        )

    yield provider
    await factory.close()


async def test_a_server_without_a_key(server: OpenAIServer, make: Make) -> None:
    server.answers(completion("Hi"))
    assert (await folded(make(), ask(max_tokens=5))).message.text == "Hi"
    assert "authorization" not in server.asked[0].headers
    assert server.body["max_tokens"] == 5


async def test_every_difference_can_be_set(server: OpenAIServer, make: Make) -> None:
    provider = make(
        token_parameter="max_completion_tokens",
        unsupported_parameters=["seed"],
        reasoning_field="thinking",
        replay_reasoning="all",
        stream_usage=False,
        headers={"HTTP-Referer": "https://example.org"},
    )
    server.streams([chunk(thinking="hm"), chunk(content="Hi"), chunk(finish="stop")])
    request = ask(stream=True, max_tokens=5, seed=7)
    events = await events_of(provider, request)
    assert isinstance(events[0], Start)
    assert [(a.subject, a.action) for a in events[0].adjustments] == [("seed", "dropped")]
    del server.body["messages"]
    assert server.body == {"model": "gpt-test", "max_completion_tokens": 5, "stream": True}
    assert server.asked[0].headers["http-referer"] == "https://example.org"

    server.streams([chunk(thinking="hm"), chunk(content="Hi"), chunk(finish="stop")])
    answer = await folded(provider, request)
    assert answer.message.parts[0] == ReasoningPart(text="hm", provider_metadata={"ollama": {"field": "thinking"}})
    server.answers(completion())
    await events_of(provider, ask([*request.messages, answer.message, *request.messages]))
    assert server.body["messages"][1] == {"role": "assistant", "content": "Hi", "thinking": "hm"}


async def test_either_limit_and_only_known_parameters(server: OpenAIServer, make: Make) -> None:
    server.answers(completion())
    provider = make(token_parameter="either", accepted_parameters=["model", "messages", "max_tokens"])
    await events_of(provider, ask(max_tokens=5, top_p=0.5))
    assert set(server.body) == {"model", "messages", "max_tokens"}


async def test_servers_without_embeddings(make: Make) -> None:
    request = EmbeddingRequest(model="m", input=["a"], deadline=Deadline.after(5))
    with pytest.raises(NotSupported):
        await make(embeddings=False).embed(request=request)


@pytest.mark.parametrize("base_url", [None, "", "127.0.0.1:11434", "ftp://x/v1", "http://", "http://x:99999/v1"])
def test_a_server_needs_an_address(base_url: str | None) -> None:
    with pytest.raises(ValidationError):
        CompatibleSettings.model_validate({"base_url": base_url})


@pytest.mark.parametrize(
    "headers", [{"X-Title": "a\nb"}, {"X-Title": "a\0b"}, {"": "a"}, {"X Title": "a"}, {"X:": "a"}]
)
def test_headers_that_no_call_can_have_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        CompatibleSettings.model_validate({"base_url": "http://127.0.0.1:1/v1", "headers": headers})


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        CompatibleSettings.model_validate({"base_url": "http://127.0.0.1:1/v1", "tokens": "x"})

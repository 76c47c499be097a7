"""What the tests of the Anthropic provider share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fake_upstreams.strict_anthropic import StrictAnthropic
from orchestrator_anthropic import AnthropicProvider
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    ChatResponse,
    Deadline,
    Message,
    ProviderContext,
    Secret,
    one_by_one,
    text_message,
)
from orchestrator_core.upstream import ClientFactory, UpstreamLimits

KEY = Secret("sk-ant-api03-" + "k" * 93 + "AA")
HELLO = (text_message("user", "Hello"),)


def ask(messages: Sequence[Message] = HELLO, *, model: str = "claude-sonnet-5-5", **fields: Any) -> ChatRequest:
    """A chat request that may take five seconds."""
    return ChatRequest(model=model, messages=messages, deadline=Deadline.after(5), **{"credential": KEY, **fields})


@asynccontextmanager
async def provider_at(url: str, **settings: Any) -> AsyncIterator[AnthropicProvider]:
    """A provider with core's real client, whose API is at `url`."""
    factory = ClientFactory(UpstreamLimits())
    model = AnthropicProvider.settings_model(base_url=url, **settings)
    try:
        yield AnthropicProvider(ProviderContext("anthropic", model, factory.client(AnthropicProvider.info.auth)))
    finally:
        await factory.close()


async def events_of(provider: AnthropicProvider, request: ChatRequest) -> list[ChatEvent]:
    """All events of a call."""
    return [event async for event in one_by_one(provider.chat(request=request))]


def fold(events: Sequence[ChatEvent]) -> ChatResponse:
    """The answer that events make."""
    folding = Fold()
    for event in events:
        folding.add(event)
    return folding.response()


async def folded(provider: AnthropicProvider, request: ChatRequest) -> ChatResponse:
    """The answer to a call."""
    return fold(await events_of(provider, request))


async def sent(server: StrictAnthropic, request: ChatRequest, **settings: Any) -> tuple[Any, ChatResponse]:
    """The body that a request becomes, which Anthropic takes, and the answer."""
    async with provider_at(server.url, **settings) as provider:
        response = await folded(provider, request)
    asked = server.asked[-1]
    assert asked.problems == []
    return asked.body, response

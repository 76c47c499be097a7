"""What the tests of OpenAI's protocol share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator_core.openai_compatible import OpenAICompatibleProvider
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    ChatResponse,
    Deadline,
    Message,
    one_by_one,
    text_message,
)

HELLO = (text_message("user", "Hello"),)


def ask(messages: Sequence[Message] = HELLO, *, model: str = "gpt-test", **fields: Any) -> ChatRequest:
    """A chat request that may take five seconds."""
    return ChatRequest(model=model, messages=messages, deadline=Deadline.after(5), **fields)


async def events_of(provider: OpenAICompatibleProvider, request: ChatRequest) -> list[ChatEvent]:
    """All events of a call."""
    return [event async for event in one_by_one(provider.chat(request=request))]


async def folded(provider: OpenAICompatibleProvider, request: ChatRequest) -> ChatResponse:
    """The answer to a call."""
    fold = Fold()
    for event in await events_of(provider, request):
        fold.add(event)
    return fold.response()

"""What the tests of Gemini's protocol share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    ChatResponse,
    Deadline,
    Message,
    Part,
    ProviderHooks,
    Role,
    Secret,
    one_by_one,
    text_message,
)

KEY = Secret("AIzaSy" + "k" * 33)
HELLO = (text_message("user", "Hello"),)
MODEL = "gemini-3.8-flash"


def ask(messages: Sequence[Message] = HELLO, *, model: str = MODEL, **fields: Any) -> ChatRequest:
    """A chat request that may take five seconds."""
    return ChatRequest(model=model, messages=messages, deadline=Deadline.after(5), credential=KEY, **fields)


def said(role: Role, *parts: Part) -> Message:
    """A message."""
    return Message(role=role, parts=parts)


async def events_of(provider: ProviderHooks, request: ChatRequest) -> list[ChatEvent]:
    """All events of a call."""
    return [event async for event in one_by_one(provider.chat(request=request))]


async def folded(provider: ProviderHooks, request: ChatRequest) -> ChatResponse:
    """The answer to a call."""
    return fold(await events_of(provider, request))


def fold(events: Sequence[ChatEvent]) -> ChatResponse:
    """The answer that events make."""
    folding = Fold()
    for event in events:
        folding.add(event)
    return folding.response()

"""How the contract looks to a type checker. Checked by mypy, never run.

A line with an ignore is one that must be an error: mypy reports an ignore that is not needed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import assert_type

from orchestrator_core.provider_api import (
    ChatEvent,
    ChatEvents,
    ChatRequest,
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    Finish,
    KeyRequest,
    KeyVerdict,
    Message,
    ProviderContext,
    ProviderError,
    ProviderHooks,
    ProviderInfo,
    Secret,
    Start,
    TextDelta,
    UpstreamResponse,
    Usage,
    error_for_status,
    hookimpl,
    one_by_one,
    text_message,
)

INFO = ProviderInfo(name="acme", title="Acme", capabilities=("chat", "embeddings"))
UNKNOWN = ProviderInfo(name="acme", title="Acme", capabilities=("telepathy",))  # type: ignore[arg-type]  # no such capability


class Good(ProviderHooks):
    info = INFO

    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        assert_type(request.deadline, Deadline)
        assert_type(request.credential, Secret | None)
        yield Start(model=request.model)
        yield TextDelta(text="hello")
        yield Finish(reason="stop")

    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        response = await self.context.client.request("POST", "https://acme.example", deadline=request.deadline)
        assert_type(response, UpstreamResponse)
        raise error_for_status(response.status, "no")


class Together(ProviderHooks):
    info = INFO

    @hookimpl
    async def chat(self, request: ChatRequest) -> ChatEvents:
        yield Start(model=request.model)
        yield [TextDelta(text="hello"), Finish(reason="stop")]


class Derived(Together):
    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        async for event in one_by_one(super().chat(request)):
            assert_type(event, ChatEvent)
            yield event


class Bad(ProviderHooks):
    info = INFO

    @hookimpl
    def validate_key(self, request: KeyRequest) -> bool:  # type: ignore[override]  # a verdict is no truth value
        return True

    @hookimpl
    async def embed(self, request: ChatRequest) -> EmbeddingResponse:  # type: ignore[override]  # another hook's request
        raise NotImplementedError


def use(context: ProviderContext, credential: Secret, events: list[ChatEvent]) -> None:
    provider = Good(context)
    assert_type(provider.context, ProviderContext)
    assert_type(provider.validate_key(KeyRequest(credential=credential)), KeyVerdict)
    assert_type(text_message("user", "hello"), Message)
    assert_type(Usage(1) + Usage(2), Usage)
    assert_type(error_for_status(500, "no"), ProviderError)
    text_message("robot", "hello")  # type: ignore[arg-type]  # no such role
    Finish(reason="bored")  # type: ignore[arg-type]  # not one of OpenAI's words
    KeyRequest(credential)  # type: ignore[call-arg]  # requests grow by fields, so that they are named
    ChatRequest(model="m", messages=[])  # type: ignore[call-arg]  # every call has a deadline
    for event in events:
        if isinstance(event, TextDelta):
            assert_type(event.text, str)

"""A provider that does what a test tells it to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from orchestrator_core.provider_api import (
    ChatEvent,
    ChatEvents,
    ChatRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    Finish,
    ProviderContext,
    ProviderHooks,
    ProviderInfo,
    Start,
    TextDelta,
    Usage,
    UsageReport,
    hookimpl,
)

Step = ChatEvent | list[ChatEvent] | Exception | float | asyncio.Event
"""An event to yield, or several that come together, an error to raise, seconds to wait, or what to wait for."""


def answer(text: str, usage: Usage | None = None) -> list[Step]:
    """Return the steps of a plain answer."""
    return [
        Start(id="answer-1", model="scripted-1"),
        *(TextDelta(text=piece) for piece in text.split(" ")),
        UsageReport(usage=usage or Usage(input_tokens=3, output_tokens=2)),
        Finish(reason="stop"),
    ]


class ScriptedProvider(ProviderHooks):
    """Plays its scripts in order, then answers `pong`.

    Attributes:
        scripts: What the next calls do.
        requests: What was asked.
        open: How many calls are under way.
    """

    info = ProviderInfo(
        name="scripted",
        title="Scripted",
        capabilities=("chat", "embeddings"),
        requires_key=False,
        default_model="scripted-1",
        default_embedding_model="scripted-embed",
    )

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.scripts: deque[Sequence[Step]] = deque()
        self.requests: list[ChatRequest | EmbeddingRequest] = []
        self.open = 0

    @hookimpl
    async def chat(self, request: ChatRequest) -> ChatEvents:
        self.requests.append(request)
        self.open += 1
        try:
            for step in self.scripts.popleft() if self.scripts else answer("pong"):
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, (ChatEvent, list)):
                    yield step
                elif isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    await asyncio.sleep(step)
        finally:
            self.open -= 1

    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        self.requests.append(request)
        usage = None
        for step in self.scripts.popleft() if self.scripts else [UsageReport(usage=Usage(input_tokens=4))]:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, UsageReport):
                usage = step.usage
        return EmbeddingResponse(vectors=[[1.0] for _ in request.input], usage=usage)

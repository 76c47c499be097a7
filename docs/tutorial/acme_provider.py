"""A provider in one file: Acme's language model, which says everything backwards. Offline."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    Finish,
    InvalidRequest,
    KeyFormat,
    ModelInfo,
    ProviderHooks,
    ProviderInfo,
    Start,
    TextDelta,
    Usage,
    UsageReport,
    hookimpl,
)

MODEL = ModelInfo(id="backwards-1", description="Says it the other way round", capabilities=("chat",))


class AcmeProvider(ProviderHooks):
    """What the entry point names."""

    info = ProviderInfo(
        name="acme",
        title="Acme",
        capabilities=("chat",),
        default_model=MODEL.id,
        models=(MODEL,),
        key_formats=(KeyFormat(r"acme-[a-z0-9]{16}", "`acme-` and 16 letters or digits", "acme-"),),
    )

    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Answer with the last message backwards, word by word."""
        text = request.messages[-1].text
        if not text:
            raise InvalidRequest("Acme reads text only. Send some.", param="messages")
        yield Start(model=request.model)
        words = text[::-1].split(" ")
        for index, word in enumerate(words):
            yield TextDelta(text=word if index == 0 else f" {word}")
        yield UsageReport(usage=Usage(input_tokens=len(words), output_tokens=len(words)))
        yield Finish(reason="stop")

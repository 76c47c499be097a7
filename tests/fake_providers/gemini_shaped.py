"""A provider with a wire like Gemini's `generateContent`, over an upstream in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from fake_providers.gemini_shaped_compile import compile_request
from fake_providers.gemini_shaped_parse import ContentParser
from fake_providers.shaped_wire import FakeUpstream
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatEvent,
    ChatRequest,
    ProviderContext,
    ProviderHooks,
    ProviderInfo,
    hookimpl,
)


class GeminiShapedProvider(ProviderHooks):
    """Compiles and parses for real; only the network is missing."""

    info = ProviderInfo(
        name="gemini-shaped",
        title="Gemini-shaped",
        capabilities=("chat", "function_calling", "vision", "reasoning", "structured_output"),
        requires_key=False,
        default_model="gemini-3.8-flash",
    )

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.upstream = FakeUpstream()

    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        report = AdjustmentReport(strict=request.strict)
        body = compile_request(request, self.context.provider_id, report)
        answer = self.upstream.post(body)
        parser = ContentParser(self.context.provider_id, report.adjustments)
        for chunk in [answer] if isinstance(answer, dict) else answer:
            for event in parser.read(chunk):
                yield event

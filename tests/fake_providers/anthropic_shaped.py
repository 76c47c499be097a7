"""A provider with a wire like Anthropic's Messages API, over an upstream in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from fake_providers.anthropic_shaped_compile import compile_request
from fake_providers.anthropic_shaped_parse import MessageParser
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


class AnthropicShapedProvider(ProviderHooks):
    """Compiles and parses for real; only the network is missing."""

    info = ProviderInfo(
        name="anthropic-shaped",
        title="Anthropic-shaped",
        capabilities=("chat", "function_calling", "vision", "reasoning", "structured_output"),
        requires_key=False,
        default_model="claude-sonnet-5-5",
    )

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.upstream = FakeUpstream()

    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        report = AdjustmentReport(strict=request.strict)
        body = compile_request(request, self.context.provider_id, report)
        answer = self.upstream.post(body)
        parser = MessageParser(self.context.provider_id, report.adjustments)
        for event in [answer] if isinstance(answer, dict) else answer:
            for canonical in parser.read(event):
                yield canonical

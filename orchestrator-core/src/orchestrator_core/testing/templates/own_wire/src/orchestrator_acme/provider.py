"""Acme as a provider: the card, and one method for each operation. The wire is in the modules beside it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from pydantic_core import to_json

from orchestrator_acme.compile import compile_chat, compile_embeddings
from orchestrator_acme.errors import error_for_answer
from orchestrator_acme.parse import AnswerParser, parse_embeddings, parse_models
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatEvent,
    ChatRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    HealthReport,
    HealthRequest,
    KeyFormat,
    ModelInfo,
    ProviderBadResponse,
    ProviderContext,
    ProviderHooks,
    ProviderInfo,
    UpstreamResponse,
    hookimpl,
)

BASE_URL = "https://api.acme.example/v1"


class AcmeProvider(ProviderHooks):
    """What the entry point names."""

    info = ProviderInfo(
        name="acme",
        title="Acme",
        capabilities=("chat", "function_calling", "vision", "reasoning", "structured_output", "embeddings"),
        default_model="acme-large",
        default_embedding_model="acme-embed",
        models=(
            ModelInfo(id="acme-large", context_window=128_000),
            ModelInfo(id="acme-embed", capabilities=("embeddings",)),
        ),
        key_formats=(KeyFormat(r"acme-[a-zA-Z0-9]{32}", "`acme-` and 32 letters or digits", "acme-"),),
    )

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.base_url = (context.settings.base_url or BASE_URL).rstrip("/")

    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Answer a conversation."""
        report = AdjustmentReport(strict=request.strict)
        body = to_json(compile_chat(request, self.context.provider_id, self.context.settings, report))
        parser = AnswerParser(self.context.provider_id, report.adjustments)
        url = f"{self.base_url}/answers"
        if not request.stream:
            answer = await self.context.client.request(
                "POST", url, deadline=request.deadline, credential=request.credential, body=body
            )
            for event in parser.body(self._checked(answer)):
                yield event
            return
        async with self.context.client.stream(
            "POST", url, deadline=request.deadline, credential=request.credential, body=body
        ) as stream:
            if stream.status != 200:
                raise error_for_answer(stream.status, stream.headers, await stream.read(), self.context.clock())
            async with aclosing(stream.events()) as upstream:
                async for sent in upstream:
                    for event in parser.event(sent.data):
                        yield event
        if not parser.ended:
            raise ProviderBadResponse("Acme's stream ended before the answer was complete.")

    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Give the vectors of texts."""
        report = AdjustmentReport(strict=request.strict)
        answer = await self.context.client.request(
            "POST",
            f"{self.base_url}/embeddings",
            deadline=request.deadline,
            credential=request.credential,
            body=to_json(compile_embeddings(request, report)),
        )
        response = parse_embeddings(self._checked(answer), len(request.input))
        response.adjustments = report.adjustments
        return response

    @hookimpl
    async def health(self, request: HealthRequest) -> HealthReport:
        """List the models, which costs no tokens."""
        answer = await self.context.client.request(
            "GET", f"{self.base_url}/models", deadline=request.deadline, credential=request.credential
        )
        return HealthReport(healthy=True, models=parse_models(self._checked(answer)))

    def _checked(self, answer: UpstreamResponse) -> bytes:
        if answer.status != 200:
            raise error_for_answer(answer.status, answer.headers, answer.body, self.context.clock())
        return answer.body

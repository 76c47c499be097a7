"""The provider itself: where its calls go, and what comes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from urllib.parse import quote

import pydantic_core

from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatEvents,
    ChatRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    HeaderAuth,
    HealthReport,
    HealthRequest,
    KeyFormat,
    ProviderBadResponse,
    ProviderContext,
    ProviderFailed,
    ProviderHooks,
    ProviderInfo,
    ProviderRefused,
    ProviderTimeout,
    Usage,
    hookimpl,
)
from orchestrator_gemini.answer import AnswerParser
from orchestrator_gemini.embeddings import BATCH, MAX_BODY, compile_embeddings, parse_embeddings
from orchestrator_gemini.errors import check_answer
from orchestrator_gemini.models import MODELS, parse_models, resource
from orchestrator_gemini.request import compile_chat

BASE_URL = "https://generativelanguage.googleapis.com"


class GeminiProvider(ProviderHooks):
    """Gemini's own protocol, `generateContent`."""

    info = ProviderInfo(
        name="gemini",
        title="Google Gemini",
        capabilities=(
            "chat",
            "function_calling",
            "vision",
            "reasoning",
            "long_context",
            "code_generation",
            "embeddings",
            "structured_output",
        ),
        default_model="gemini-3.8-flash",
        default_embedding_model="gemini-embedding-001",
        models=MODELS,
        env_prefixes=("GEMINI",),
        key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        key_formats=(
            KeyFormat(r"AIza[A-Za-z0-9_-]{33,60}", "`AIza` and 33 characters or more", "AIza"),
            KeyFormat(r"AQ\.[A-Za-z0-9_-]{30,150}", "`AQ.` and 30 characters or more", "AQ."),
        ),
        foreign_keys=(r"^sk-", r"^xai-", r"^gsk_"),
        auth=HeaderAuth("x-goog-api-key", None),
        otel_name="gcp.gemini",
        price_id="google",
    )

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        base = (context.settings.base_url or BASE_URL).rstrip("/")
        self.base_url = base if re.search(r"/v\d+[a-z0-9]*$", base) else f"{base}/v1beta"

    @hookimpl
    async def chat(self, request: ChatRequest) -> ChatEvents:
        """Answer a conversation, see `ProviderHooks.chat`."""
        report = AdjustmentReport(strict=request.strict)
        wire = compile_chat(
            request, provider_id=self.context.provider_id, settings=self.context.settings, report=report
        )
        body = pydantic_core.to_json(wire)
        parser = AnswerParser(self.context.provider_id, tuple(report.adjustments))
        ask = self._streamed if request.stream else self._whole
        with self._hinting(request.model):
            async with aclosing(ask(request, body, parser)) as events:
                async for given in events:
                    yield given

    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Give the vectors of texts, see `ProviderHooks.embed`."""
        report = AdjustmentReport(strict=request.strict)
        result = EmbeddingResponse([])
        for number, body in enumerate(compile_embeddings(request, report)):
            response = await self.context.client.request(
                "POST",
                self._url(request.model, "batchEmbedContents"),
                deadline=request.deadline,
                credential=request.credential,
                body=pydantic_core.to_json(body),
                max_bytes=MAX_BODY,
            )
            with self._hinting(request.model):
                check_answer(response.status, response.headers, response.body, self.context.clock())
                vectors, usage = parse_embeddings(response.body, len(request.input[number * BATCH :][:BATCH]))
            result.vectors = [*result.vectors, *vectors]
            if usage is not None:
                result.usage = (result.usage or Usage()) + usage
        result.adjustments = tuple(report.adjustments)
        return result

    @hookimpl
    async def health(self, request: HealthRequest) -> HealthReport:
        """List the models, which costs no tokens; see `ProviderHooks.health`."""
        response = await self.context.client.request(
            "GET", f"{self.base_url}/models?pageSize=1000", deadline=request.deadline, credential=request.credential
        )
        check_answer(response.status, response.headers, response.body, self.context.clock())
        return HealthReport(healthy=True, models=parse_models(response.body))

    async def _whole(self, request: ChatRequest, body: bytes, parser: AnswerParser) -> ChatEvents:
        response = await self.context.client.request(
            "POST",
            self._url(request.model, "generateContent"),
            deadline=request.deadline,
            credential=request.credential,
            body=body,
        )
        check_answer(response.status, response.headers, response.body, self.context.clock())
        yield [*parser.read(response.body), *parser.end(whole=True)]

    async def _streamed(self, request: ChatRequest, body: bytes, parser: AnswerParser) -> ChatEvents:
        """Ask for a stream. It has no mark at its end: what breaks after the last reason has cost nobody anything."""
        async with self.context.client.stream(
            "POST",
            self._url(request.model, "streamGenerateContent?alt=sse"),
            deadline=request.deadline,
            credential=request.credential,
            body=body,
        ) as stream:
            del body  # it would be kept for as long as the answer takes
            if stream.status != 200 or not stream.headers.get("content-type", "").startswith("text/event-stream"):
                answer = await stream.read()
                check_answer(stream.status, stream.headers, answer, self.context.clock())
                parser.read(answer)  # an error that came with a 200
                raise ProviderBadResponse("The provider sent no stream although one was asked for.")
            async with aclosing(stream.batches()) as upstream:
                while True:
                    try:
                        batch = await anext(upstream, None)
                    except (ProviderFailed, ProviderTimeout):
                        if not parser.complete:
                            raise
                        batch = None
                    if batch is None:
                        break
                    for event in batch:
                        if event.data:
                            yield parser.read(event.data)
            yield parser.end()

    def _url(self, model: str, operation: str) -> str:
        kind, _, name = resource(model).partition("/")
        return f"{self.base_url}/{kind}/{quote(name, safe='')}:{operation}"

    @contextmanager
    def _hinting(self, model: str) -> Iterator[None]:
        """Add the name of a retired model's successor to what the provider says of it, where it is known."""
        try:
            yield
        except ProviderRefused as error:
            for known in self.info.models:
                if known.id == model.removeprefix("models/") and known.replacement:
                    error.message = f"{error.message} ({known.id} is retired: use {known.replacement}.)"
                    error.args = (error.message,)
            raise

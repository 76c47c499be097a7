"""The base class: a provider that speaks OpenAI's protocol is a card and a dialect."""

from __future__ import annotations

from typing import Final

import pydantic_core

from orchestrator_core.openai_compatible.compile import compile_chat
from orchestrator_core.openai_compatible.dialect import Dialect
from orchestrator_core.openai_compatible.embeddings import (
    MAX_BODY,
    compile_embeddings,
    join,
    parse_embeddings,
)
from orchestrator_core.openai_compatible.models import parse_models
from orchestrator_core.openai_compatible.parse import AnswerParser
from orchestrator_core.openai_compatible.stream import check_answer, stream_chat, whole_chat
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    OPENAI_EMBEDDINGS,
    AdjustmentReport,
    ChatEvents,
    ChatRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    HealthReport,
    HealthRequest,
    Json,
    NativeEvent,
    NotSupported,
    ProviderContext,
    ProviderHooks,
    ProviderRefused,
    hookimpl,
)

_NO_LIST: Final = frozenset({404, 405, 501})
"""Statuses of a server that has no list of models: it is there, and that is all there is to find out."""


class OpenAICompatibleProvider(ProviderHooks):
    """A provider that speaks OpenAI's protocol.

    A subclass sets `info` and `dialect`. What data cannot say goes into an override of `compile`.

    Attributes:
        dialect: The vendor's differences.
    """

    dialect: Dialect = Dialect()

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.base_url = (context.settings.base_url or self.dialect.base_url).rstrip("/")

    def compile(self, request: ChatRequest, report: AdjustmentReport) -> dict[str, Json]:
        """Return the body to send.

        Raises:
            UnsupportedParameter: Something would get lost, and the caller is strict.
        """
        return compile_chat(
            request,
            self.dialect,
            provider_id=self.context.provider_id,
            settings=self.context.settings,
            report=report,
        )

    def ask(self, request: ChatRequest) -> ChatEvents:
        """Send the body to `/chat/completions`, and give the events of the answer.

        Raises:
            UnsupportedParameter: Something would get lost, and the caller is strict.
        """
        report = AdjustmentReport(strict=request.strict)
        body = pydantic_core.to_json(self.compile(request, report))
        own = request.native is not None and request.native.dialect == OPENAI_CHAT
        options = request.native_options
        parser = AnswerParser(
            self.dialect,
            self.context.provider_id,
            native=own or (options is not None and options.dialect == OPENAI_CHAT),
            skim=own and request.stream,
            adjustments=tuple(report.adjustments),
            choices=request.n or 1,
            sound=_sound(request.extra.get("audio")),
        )
        send = stream_chat if request.stream else whole_chat
        return send(
            self.context.client,
            f"{self.base_url}/chat/completions",
            body,
            parser,
            deadline=request.deadline,
            credential=request.credential,
            headers=self.dialect.headers,
            clock=self.context.clock,
            refused=lambda error: self.refused(request, error),
        )

    def refused(self, request: ChatRequest, error: ProviderRefused) -> ChatEvents | None:
        """Say what is done where the vendor refused a request before it began to answer.

        Args:
            request: What was asked.
            error: What the vendor said; it may be made clearer.

        Returns:
            The events of another call; None where the caller is to have the error.
        """
        self._hint(error, request.model)
        return None

    @hookimpl
    def chat(self, request: ChatRequest) -> ChatEvents:
        """Answer a conversation, see `ProviderHooks.chat`."""
        return self.ask(request)

    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Give the vectors of texts, see `ProviderHooks.embed`."""
        if not self.dialect.embeddings:
            raise NotSupported(f"{self.info.title} has no embeddings. Choose another provider.")
        report = AdjustmentReport(strict=request.strict)
        bodies = compile_embeddings(request, self.dialect, report)
        size = self.dialect.embedding_batch or len(request.input)
        native = request.native is not None and request.native.dialect == OPENAI_EMBEDDINGS
        parts: list[EmbeddingResponse] = []
        try:
            for number, body in enumerate(bodies):
                response = await self.context.client.request(
                    "POST",
                    f"{self.base_url}/embeddings",
                    deadline=request.deadline,
                    credential=request.credential,
                    headers=self.dialect.headers,
                    body=pydantic_core.to_json(body),
                    max_bytes=MAX_BODY,
                )
                check_answer(response.status, response.headers, response.body, self.context.clock())
                parts.append(parse_embeddings(response.body, len(request.input[number * size :][:size])))
                if native and len(bodies) == 1:
                    parts[0].native = NativeEvent(OPENAI_EMBEDDINGS, response.body)
        except ProviderRefused as error:
            self._hint(error, request.model)
            raise
        result = parts[0] if len(parts) == 1 else join(parts)
        result.adjustments = tuple(report.adjustments)
        return result

    @hookimpl
    async def health(self, request: HealthRequest) -> HealthReport:
        """List the models, which costs no tokens; see `ProviderHooks.health`."""
        response = await self.context.client.request(
            "GET",
            f"{self.base_url}/models",
            deadline=request.deadline,
            credential=request.credential,
            headers=self.dialect.headers,
        )
        if response.status in _NO_LIST:
            return HealthReport(healthy=True)
        check_answer(response.status, response.headers, response.body, self.context.clock())
        return HealthReport(healthy=True, models=parse_models(response.body))

    def _hint(self, error: ProviderRefused, model: str) -> None:
        """Add the name of a retired model's successor to what the provider said, where it is known."""
        for known in self.info.models:
            if known.id == model and known.replacement:
                error.message = f"{error.message} ({model} is retired: use {known.replacement}.)"
                error.args = (error.message,)


def _sound(audio: Json) -> str | None:
    """Return the format of the sound that is asked for."""
    form = audio.get("format") if isinstance(audio, dict) else None
    return form if isinstance(form, str) else None

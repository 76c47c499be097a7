"""The provider itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from pydantic import Field

from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatEvent,
    ChatRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    Finish,
    HealthReport,
    HealthRequest,
    InvalidRequest,
    KeyRequest,
    KeyVerdict,
    ModelInfo,
    ProviderBadResponse,
    ProviderHooks,
    ProviderInfo,
    ProviderSettings,
    ReasoningDelta,
    Start,
    SummarizeRequest,
    Summary,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    check_key,
    hookimpl,
)
from orchestrator_echo.answer import compose, count_words, limit, plan_calls
from orchestrator_echo.summary import summarize
from orchestrator_echo.vectors import DIMENSIONS, MAX_DIMENSIONS, embed
from orchestrator_echo.words import count

_AT_ONCE = 256
"""Words after which others have their turn."""


class EchoSettings(ProviderSettings):
    """Settings of the echo.

    Attributes:
        delay: Seconds between two words.
    """

    delay: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class EchoProvider(ProviderHooks):
    """Answers with what it was told. The same request always has the same answer."""

    info = ProviderInfo(
        name="echo",
        title="Echo (offline)",
        capabilities=("chat", "function_calling", "reasoning", "structured_output", "embeddings"),
        default_model="echo-1",
        default_embedding_model="echo-embed",
        models=(
            ModelInfo(id="echo-1", description="Repeats what it is told", context_window=1_000_000),
            ModelInfo(id="echo-embed", description="Vectors from hashed words", capabilities=("embeddings",)),
        ),
        requires_key=False,
        embedded_default=True,
        otel_name="echo",
    )
    settings_model = EchoSettings

    @hookimpl
    def validate_key(self, request: KeyRequest) -> KeyVerdict:
        """Take any key that could be one: none is needed."""
        return check_key(request.credential, ())

    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Answer word by word."""
        report = AdjustmentReport(strict=request.strict)
        for name in request.extra:
            report.dropped(name, "the echo does not know it")
        calls = plan_calls(request)
        words, reason = ([], "tool_calls") if calls else limit(compose(request), request)
        thought = "I repeat what I am told." if request.reasoning_effort not in (None, "none") else ""
        yield Start(id="echo", model=request.model, adjustments=report.adjustments)
        choices = range(request.n or 1)
        for choice in choices:
            if thought:
                yield ReasoningDelta(choice, text=thought)
            for index, call in enumerate(calls):
                yield ToolCallDelta(choice, index=index, id=call.id, name=call.name, arguments=call.arguments)
            for place, word in enumerate(words):
                yield TextDelta(choice, text=word)
                if (delay := self._delay) or place % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(delay)
        output = sum(len(call.arguments.split()) + 1 for call in calls) + len(words)
        usage = Usage(
            input_tokens=count_words(request.messages),
            output_tokens=output * len(choices),
            reasoning_tokens=len(thought.split()) * len(choices),
        )
        yield UsageReport(usage=usage)
        for choice in choices:
            yield Finish(choice, reason=reason)

    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Hash words into vectors."""
        dimensions = DIMENSIONS if request.dimensions is None else request.dimensions
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise InvalidRequest(f"dimensions must be between 1 and {MAX_DIMENSIONS}.", param="dimensions")
        report = AdjustmentReport(strict=request.strict)
        for name in request.extra:
            report.dropped(name, "the echo does not know it")
        tokens = count(text for text in request.input if isinstance(text, str))
        tokens += sum(len(text) for text in request.input if not isinstance(text, str))
        vectors = []
        for text in request.input:
            vectors.append(embed(text, dimensions))
            await asyncio.sleep(0)
        return EmbeddingResponse(
            vectors=vectors,
            model=request.model,
            usage=Usage(input_tokens=tokens),
            adjustments=report.adjustments,
        )

    @hookimpl
    async def health(self, request: HealthRequest) -> HealthReport:  # noqa: ARG002 - the hook's name for it
        """Be well: there is nothing that could fail."""
        return HealthReport(healthy=True, models=self.info.models)

    @hookimpl
    async def summarize(self, request: SummarizeRequest) -> Summary:
        """Keep the sentences that look most like facts."""
        text = summarize(request.messages, request.previous)
        if request.max_tokens is not None:
            text = " ".join(text.split()[: request.max_tokens])
        if not text:
            raise ProviderBadResponse("There is nothing to summarise.")
        words = count_words(request.messages) + count([request.previous or ""])
        return Summary(text=text, model="echo-1", usage=Usage(input_tokens=words, output_tokens=len(text.split())))

    @property
    def _delay(self) -> float:
        settings = self.context.settings
        return settings.delay if isinstance(settings, EchoSettings) else 0.0

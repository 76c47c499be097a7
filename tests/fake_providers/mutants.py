"""Every provider that is broken: those of Acme's wire, of OpenAI's, and without an upstream."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from fake_providers import mutant_answers, mutant_contracts, mutant_requests
from fake_providers.mutant_bases import MUTANTS, Events
from orchestrator_acme import AcmeProvider
from orchestrator_core.openai_compatible import Dialect, OpenAICompatibleProvider
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatRequest,
    Finish,
    RefusalDelta,
    Start,
    TextDelta,
    hookimpl,
    one_by_one,
)

__all__ = ["MUTANTS", "mutant_answers", "mutant_contracts", "mutant_requests"]  # importing them fills the list


class SpeaksOpenAI(OpenAICompatibleProvider):
    info = AcmeProvider.info
    dialect = Dialect(base_url="https://api.acme.example/v1")


class Lossy(SpeaksOpenAI):
    """Changes the body behind the report's back."""

    def change(self, body: dict[str, Any]) -> None:
        """Change it in place."""

    def compile(self, request: ChatRequest, report: AdjustmentReport) -> dict[str, Any]:
        body = super().compile(request, report)
        self.change(body)
        return body


class PopsItsToolChoice(Lossy):
    def change(self, body: dict[str, Any]) -> None:
        body.pop("tool_choice", None)


class PopsParallelToolCalls(Lossy):
    def change(self, body: dict[str, Any]) -> None:
        body.pop("parallel_tool_calls", None)


class StripsImages(Lossy):
    def change(self, body: dict[str, Any]) -> None:
        for message in body["messages"]:
            if isinstance(message.get("content"), list):
                message["content"] = [part for part in message["content"] if part["type"] != "image_url"]


class HasNoBaseUrl(SpeaksOpenAI):
    dialect = Dialect()


class RefusesAsText(SpeaksOpenAI):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        async with aclosing(one_by_one(super().chat(request))) as events:
            async for event in events:
                yield TextDelta(text=event.text) if isinstance(event, RefusalDelta) else event


class NeverCalls(AcmeProvider):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        yield Start(model=request.model)
        yield TextDelta(text="no tools here")
        yield Finish()


class WillNotStop(AcmeProvider):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        yield Start(model=request.model)
        try:
            yield TextDelta(text="and")
        except GeneratorExit:
            yield TextDelta(text="another thing")

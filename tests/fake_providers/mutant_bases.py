"""What the mutants of Acme's provider have in common: each is broken in one way."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from pydantic_core import to_json

from orchestrator_acme import AcmeProvider
from orchestrator_acme import compile as acme_compile
from orchestrator_acme import parse as acme_parse
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatEvent,
    ChatRequest,
    ProviderHooks,
    hookimpl,
)

Events = AsyncGenerator[ChatEvent, None]
MUTANTS: list[tuple[type[ProviderHooks], tuple[str, ...]]] = []


def fails(*checks: str) -> Callable[[type[ProviderHooks]], type[ProviderHooks]]:
    """Add a mutant, with the checks that it must fail."""

    def add(cls: type[ProviderHooks]) -> type[ProviderHooks]:
        MUTANTS.append((cls, tuple(f"test_{check}" for check in checks)))
        return cls

    return add


class Changed(AcmeProvider):
    """Lets a mutant change or leave out events."""

    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        return [event]

    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        async with aclosing(super().chat(request)) as events:
            async for event in events:
                for changed in self.change(event, request):
                    yield changed


class Compiling(Changed):
    """Lets a mutant change the body, or how it is compiled."""

    compiler = acme_compile.Compiler
    parser = acme_parse.AnswerParser

    def body(self, body: dict[str, Any], request: ChatRequest) -> None:
        """Change the body in place."""

    def report(self, request: ChatRequest) -> AdjustmentReport:
        return AdjustmentReport(strict=request.strict)

    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        report = self.report(request)
        name = self.context.provider_id
        body = acme_compile.compile_chat(request, name, self.context.settings, report)
        again = AdjustmentReport(strict=False)
        body["turns"] = self.compiler(name, again).turns(request.messages)
        self.body(body, request)
        parser = self.parser(name, report.adjustments)
        url, options = f"{self.base_url}/answers", {"deadline": request.deadline, "credential": request.credential}
        if not request.stream:
            answer = await self.context.client.request("POST", url, body=to_json(body), **options)
            for event in parser.body(self._checked(answer)):
                yield event
            return
        async with (
            self.context.client.stream("POST", url, body=to_json(body), **options) as stream,
            aclosing(stream.events()) as upstream,
        ):
            async for sent in upstream:
                for event in parser.event(sent.data):
                    yield event


class Refusing(Changed):
    """Lets a mutant change errors."""

    def refused(self, error: Exception, request: ChatRequest) -> Exception | None:
        return error

    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        try:
            async with aclosing(super().chat(request)) as events:
                async for event in events:
                    yield event
        except Exception as error:
            changed = self.refused(error, request)
            if changed is not None:
                raise changed from error

"""Calls to providers: routed, opened through the pipeline, and counted where they end."""

from __future__ import annotations

import time
from typing import Any

from orchestrator_core.orchestration.answer import Answer, EmbeddingAnswer
from orchestrator_core.orchestration.ledger import Ledger
from orchestrator_core.orchestration.opening import OpenStream, open_stream
from orchestrator_core.orchestration.pipeline import Call, run
from orchestrator_core.orchestration.requests import Selection
from orchestrator_core.orchestration.routing import Router, Target
from orchestrator_core.provider_api import ChatRequest, EmbeddingRequest, EmbeddingResponse, Secret
from orchestrator_core.resilience.keys import KeyRing
from orchestrator_core.security.principal import Principal
from orchestrator_core.telemetry.cost import Prices
from orchestrator_core.telemetry.metrics import Metrics


class Calls:
    """Opens calls, and tells the metrics and the ledger what came of them."""

    def __init__(self, router: Router, prices: Prices, ledger: Ledger, metrics: Metrics) -> None:
        """Make what opens calls.

        Args:
            router: Resolves names.
            prices: What is known about prices.
            ledger: Takes what calls without a session used.
            metrics: What is counted.
        """
        self._router = router
        self._prices = prices
        self._ledger = ledger
        self._metrics = metrics
        self._keys = KeyRing()

    async def chat(self, principal: Principal, selection: Selection, request: ChatRequest) -> Answer:
        """Open a call: when this returns, the first content has come.

        Args:
            principal: Who asks.
            selection: Who is to answer.
            request: What is asked; `model` and `credential` are filled in.

        Raises:
            GatewayError: No provider answered, or the request cannot be routed.
        """
        call = Call(request, self._router.targets(principal, selection, "chat"), selection.credential)
        return await self.open(call, payer=principal)

    async def embed(self, principal: Principal, selection: Selection, request: EmbeddingRequest) -> EmbeddingAnswer:
        """Ask for vectors.

        Raises:
            GatewayError: No provider answered, or the request cannot be routed.
        """
        call = Call(request, self._router.targets(principal, selection, "embeddings"), selection.credential)
        try:
            response = await run(call, _send_embedding, self._keys)
        finally:
            self._observe_failures(call, "embeddings")
        provider, model = call.target.provider, response.model or call.target.model
        paid = None
        if response.usage:
            paid = self._prices.price(provider.id, provider.info, model, response.usage, asked=call.target.model)
        cost = paid.usd if paid else None
        seconds = call.attempts[-1].duration
        self._ledger.add(principal, "embeddings", provider.id, model, response.usage, cost, seconds)
        self._metrics.observe_call(provider.id, call.target.model, "embeddings", seconds, None, response.usage, cost)
        return EmbeddingAnswer(provider.id, model, call.attempts, response, cost)

    async def open_summary(self, target: Target, credential: Secret | None, request: ChatRequest) -> Answer:
        """Open the call of a summary.

        Raises:
            GatewayError: The provider did not answer.
        """
        return await self.open(Call(request, [target], credential), "summarize")

    async def open(self, call: Call[ChatRequest], operation: str = "chat", payer: Principal | None = None) -> Answer:
        """Open a call: when this returns, the first content has come.

        Args:
            call: Whom to ask what.
            operation: What the metrics are to call it.
            payer: Who is to be charged where it ends; None for turns and summaries, which are counted as they are
                stored.

        Raises:
            GatewayError: No provider answered.
        """
        before = len(call.attempts)
        try:
            opened = await run(call, _send_chat, self._keys)
        finally:
            self._observe_failures(call, operation, before)
        begun = time.monotonic() - call.attempts[-1].duration

        async def on_end(answer: Answer) -> None:
            usage, provider = answer.usage, answer.target.provider
            asked = answer.target.model
            paid = self._prices.price(provider.id, provider.info, answer.model, usage, asked=asked) if usage else None
            if paid:
                answer.cost, answer.price_version = paid.usd, paid.version
            code, seconds = None if answer.complete else "interrupted", time.monotonic() - begun
            if payer is not None:
                self._ledger.add(payer, "chat", answer.provider, answer.model, usage, answer.cost, seconds)
            self._metrics.observe_call(
                answer.provider, answer.target.model, operation, seconds, code, usage, answer.cost
            )

        return Answer(call, opened, on_end)

    def _observe_failures(self, call: Call[Any], operation: str, before: int = 0) -> None:
        for attempt in call.attempts[before:]:
            if attempt.error is not None:
                self._metrics.observe_call(
                    attempt.provider, attempt.model, operation, attempt.duration, attempt.error, None, None
                )


async def _send_chat(target: Target, request: ChatRequest) -> OpenStream:
    return await open_stream(target.provider.chat(request), request.deadline, stream=request.stream)


async def _send_embedding(target: Target, request: EmbeddingRequest) -> EmbeddingResponse:
    return await target.provider.embed(request)

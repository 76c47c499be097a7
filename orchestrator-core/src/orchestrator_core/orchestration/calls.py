"""Calls to providers: routed, opened through the pipeline, and counted where they end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from orchestrator_core.orchestration.answer import Answer, EmbeddingAnswer
from orchestrator_core.orchestration.ledger import Ledger, Payer
from orchestrator_core.orchestration.opening import OpenStream, open_stream
from orchestrator_core.orchestration.pipeline import Call, run
from orchestrator_core.orchestration.requests import Selection
from orchestrator_core.orchestration.routing import Router, Target
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    PluginError,
    ProviderBadResponse,
    ProviderTimeout,
    Secret,
    Usage,
    UsageReport,
)
from orchestrator_core.resilience.keys import KeyRing
from orchestrator_core.security.principal import Principal
from orchestrator_core.telemetry.cost import Price, Prices
from orchestrator_core.telemetry.metrics import Metrics

CANCELLED = "cancelled"
"""The code of a try that was given up because its caller left."""

BILLED_PERHAPS = frozenset({CANCELLED, ProviderTimeout.code, ProviderBadResponse.code, PluginError.code})
"""The codes of tries that the provider may have worked for, and that nobody knows the tokens of."""

_NOTHING: Mapping[int, tuple[Target, Usage]] = MappingProxyType({})


class Calls:
    """Opens calls, and tells the metrics and the ledger what came of them."""

    def __init__(self, router: Router, prices: Prices, ledger: Ledger, metrics: Metrics) -> None:
        """Make what opens calls.

        Args:
            router: Resolves names.
            prices: What is known about prices.
            ledger: Takes what calls used that are not counted as they are stored.
            metrics: What is counted.
        """
        self._router = router
        self._prices = prices
        self._ledger = ledger
        self._metrics = metrics
        self._keys = KeyRing()

    async def chat(
        self, principal: Principal, selection: Selection, request: ChatRequest, user_id: str | None = None
    ) -> Answer:
        """Open a call: when this returns, the first content has come.

        Args:
            principal: Who asks.
            selection: Who is to answer.
            request: What is asked; `model` and `credential` are filled in.
            user_id: The label of the caller, for the totals.

        Raises:
            GatewayError: No provider answered, or the request cannot be routed.
        """
        call = Call(request, self._router.targets(principal, selection, "chat"), selection.credential)
        return await self.open(call, Payer(principal, "chat", user_id or ""))

    async def embed(
        self, principal: Principal, selection: Selection, request: EmbeddingRequest, user_id: str | None = None
    ) -> EmbeddingAnswer:
        """Ask for vectors; the arguments are those of `chat`.

        Raises:
            GatewayError: No provider answered, or the request cannot be routed.
        """
        call = Call(request, self._router.targets(principal, selection, "embeddings"), selection.credential)
        payer = Payer(principal, "embeddings", user_id or "")
        try:
            response = await run(call, _send_embedding, self._keys)
        finally:
            self._count_failures(call, payer)
        provider, model = call.target.provider, response.model or call.target.model
        paid = self._price(call.target, model, response.usage) if response.usage else None
        cost = paid.usd if paid else None
        seconds = call.attempts[-1].duration
        self._ledger.add(payer, provider.id, model, response.usage, cost, seconds)
        self._metrics.observe_call(provider.id, call.target.model, "embeddings", seconds, None, response.usage, cost)
        return EmbeddingAnswer(provider.id, model, call.attempts, response, cost)

    async def open_summary(
        self, payer: Payer, target: Target, credential: Secret | None, request: ChatRequest
    ) -> Answer:
        """Open the call of a summary, which is counted as it is stored.

        Raises:
            GatewayError: The provider did not answer.
        """
        return await self.open(Call(request, [target], credential), payer, stored=True)

    async def open(self, call: Call[ChatRequest], payer: Payer, *, stored: bool = False) -> Answer:
        """Open a call: when this returns, the first content has come.

        Args:
            call: Whom to ask what.
            payer: Who is to be charged where it ends, and for each try that failed.
            stored: Whether the answer is counted as it is stored, and only what failed before it is here.

        Raises:
            GatewayError: No provider answered.
        """
        before, spent = len(call.attempts), dict[int, tuple[Target, Usage]]()

        async def send(target: Target, request: ChatRequest) -> OpenStream:
            early: list[ChatEvent] = []
            try:
                return await open_stream(
                    target.provider.chat(request), request.deadline, stream=request.stream, early=early
                )
            except BaseException:
                reports = [event.usage for event in early if isinstance(event, UsageReport) and event.usage]
                if reports:
                    spent[len(call.attempts)] = target, reports[-1]
                raise

        try:
            opened = await run(call, send, self._keys)
        finally:
            self._count_failures(call, payer, before, spent)
        begun = time.monotonic() - call.attempts[-1].duration

        async def on_end(answer: Answer) -> None:
            usage = answer.usage
            if usage and (paid := self._price(answer.target, answer.model, usage)):
                answer.cost, answer.price_version = paid.usd, paid.version
            code, seconds = None if answer.complete else "interrupted", time.monotonic() - begun
            if not stored:
                self._ledger.add(payer, answer.provider, answer.model, usage, answer.cost, seconds)
            self._metrics.observe_call(
                answer.provider, answer.target.model, payer.operation, seconds, code, usage, answer.cost
            )

        return Answer(call, opened, on_end)

    def _count_failures(
        self, call: Call[Any], payer: Payer, before: int = 0, spent: Mapping[int, tuple[Target, Usage]] = _NOTHING
    ) -> None:
        """Tell what became of the tries that failed.

        Args:
            call: The call.
            payer: Who is charged.
            before: The first try that was not told yet.
            spent: What the provider said of the tokens of a try before it failed.
        """
        for place, attempt in enumerate(call.attempts[before:], before):
            if attempt.error is None:
                continue
            cost, (target, usage) = None, spent.get(place, (None, None))
            if target is not None and usage is not None:
                paid = self._price(target, target.model, usage)
                cost = paid.usd if paid else None
            if usage is not None or attempt.error in BILLED_PERHAPS:
                self._ledger.add(payer, attempt.provider, attempt.model, usage, cost, attempt.duration)
            self._metrics.observe_call(
                attempt.provider, attempt.model, payer.operation, attempt.duration, attempt.error, usage, cost
            )

    def _price(self, target: Target, model: str, usage: Usage) -> Price | None:
        provider = target.provider
        return self._prices.price(provider.id, provider.info, model, usage, asked=target.model)


async def _send_embedding(target: Target, request: EmbeddingRequest) -> EmbeddingResponse:
    return await target.provider.embed(request)

"""Calls to providers: routed, opened through the pipeline, and counted where they end."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any

from orchestrator_core.orchestration.answer import Answer, EmbeddingAnswer
from orchestrator_core.orchestration.cache import AnswerCache, size_of_vectors
from orchestrator_core.orchestration.call import Call
from orchestrator_core.orchestration.chat_call import ChatCall
from orchestrator_core.orchestration.granted_fields import check_fields
from orchestrator_core.orchestration.guards import Guards
from orchestrator_core.orchestration.ledger import Payer
from orchestrator_core.orchestration.metering import NOTHING, Meter, code_of
from orchestrator_core.orchestration.opening import replayed
from orchestrator_core.orchestration.pipeline import run
from orchestrator_core.orchestration.requests import Selection
from orchestrator_core.orchestration.routing import Router, Target
from orchestrator_core.orchestration.spending import Spending
from orchestrator_core.provider_api import ChatRequest, EmbeddingRequest, EmbeddingResponse, Secret
from orchestrator_core.resilience.waits import Waits
from orchestrator_core.security.principal import Principal
from orchestrator_core.telemetry.gen_ai_spans import end_embeddings
from orchestrator_core.telemetry.traces import Span

KEPT = "cache"
"""The price version of an answer that was given before: it costs nothing, whatever the tables say."""


class Calls:
    """Opens calls, and has them counted."""

    def __init__(
        self,
        router: Router,
        meter: Meter,
        guards: Guards,
        spending: Spending,
        cache: AnswerCache | None,
    ) -> None:
        """Make what opens calls.

        Args:
            router: Resolves names.
            meter: Counts them.
            guards: Stand between the calls and providers that fail.
            spending: Watches the budgets of clients.
            cache: Keeps answers; None keeps none.
        """
        self._router = router
        self._meter = meter
        self._guards = guards
        self._spending = spending
        self._cache = cache
        self._waits = Waits()

    def chat(
        self, principal: Principal, selection: Selection, request: ChatRequest, user_id: str | None = None
    ) -> Coroutine[Any, Any, Answer]:
        """Open a call: when this returns, the first content has come.

        Args:
            principal: Who asks.
            selection: Who is to answer.
            request: What is asked; `model` and `credential` are filled in.
            user_id: The label of the caller, for the totals.

        Raises:
            GatewayError: No provider answered, or the request cannot be routed.
        """
        targets = self._router.targets(principal, selection, "chat")
        call = Call(request, targets, selection.credential, principal.tenant, selection.cache)
        return self.open(call, Payer(principal, "chat", user_id or ""))

    async def embed(
        self, principal: Principal, selection: Selection, request: EmbeddingRequest, user_id: str | None = None
    ) -> EmbeddingAnswer:
        """Ask for vectors; the arguments are those of `chat`.

        Raises:
            GatewayError: No provider answered, or the request cannot be routed.
        """
        targets = self._router.targets(principal, selection, "embeddings")
        check_fields(principal, targets, request)
        call = Call(request, targets, selection.credential, principal.tenant, selection.cache)
        payer = Payer(principal, "embeddings", user_id or "")
        if self._cache is not None and (kept := self._cache.find_vectors(call, payer.operation)) is not None:
            return EmbeddingAnswer(call.target.provider.id, kept.model or call.target.model, call.attempts, kept, 0.0)
        budget = principal.grant.budget
        held = None if budget is None else await self._spending.reserve(principal, budget, call)
        spans: list[Span] = []

        async def send(call: Call[EmbeddingRequest], request: EmbeddingRequest) -> EmbeddingResponse:
            target = call.target
            span = self._meter.begin_span(target, payer, request)
            try:
                with span, self._meter.in_flight(target):
                    response = await target.provider.embed(request)
            except BaseException as error:
                span.end(code_of(error))
                raise
            spans.append(span)
            return response

        cover = None if held is None else partial(self._meter.cover, call, payer, held, NOTHING)
        try:
            response = await run(call, send, self._guards, cover=cover)
        except BaseException:
            self._meter.count_failures(call, payer, held)
            if held is not None:
                held.end()
            raise
        finally:
            if call.place is not None:
                call.place.leave()
        self._meter.count_failures(call, payer, held)
        if call.permit is not None:
            call.permit.end(failed=False)
        provider, model = call.target.provider, response.model or call.target.model
        usage = response.usage
        if held is not None and (usage is None or not usage.total):
            usage = held.unsaid
        paid = self._meter.bill(call.target, model, usage, held) if usage else None
        cost = paid.usd if paid else None
        seconds = call.attempts[-1].duration
        if held is not None and usage is not None:
            held.charge(usage, cost)
            held.end()
        self._meter.ledger.add(payer, provider.id, model, usage, cost, seconds)
        self._meter.observe(call.attempts[-1], payer, seconds, None, usage, cost)
        end_embeddings(spans[-1], model, response.usage, cost)
        if self._cache is not None:
            self._cache.keep(call, response, size_of_vectors(response))
        return EmbeddingAnswer(provider.id, model, call.attempts, response, cost)

    async def open_summary(
        self, payer: Payer, target: Target, credential: Secret | None, request: ChatRequest
    ) -> Answer:
        """Open the call of a summary, which is counted as it is stored.

        Raises:
            GatewayError: The provider did not answer.
        """
        return await self.open(Call(request, [target], credential, payer.principal.tenant), payer, stored=True)

    async def open(self, call: Call[ChatRequest], payer: Payer, *, stored: bool = False) -> Answer:
        """Open a call: when this returns, the first content has come.

        Args:
            call: Whom to ask what.
            payer: Who is to be charged where it ends, and for each try that failed.
            stored: Whether the answer is counted as it is stored, and only what failed before it is here.

        Raises:
            GatewayError: No provider answered.
        """
        principal = payer.principal
        check_fields(principal, call.targets, call.request)
        cache = self._cache
        if cache is not None and (kept := cache.find_events(call, payer.operation)) is not None:
            return Answer(call, replayed(kept, call.deadline, self._waits), _end_kept, kept=True)
        budget = principal.grant.budget
        held = None if budget is None else await self._spending.reserve(principal, budget, call)
        chat = ChatCall(call, payer, held, self._meter, cache, self._waits, stored=stored)
        try:
            opened = await run(call, chat.send, self._guards, chat.discard, chat.cover)
        except BaseException:
            chat.count_failures()
            if held is not None:
                held.end()
            raise
        if len(call.attempts) > 1:
            chat.count_failures()
        return chat.answer(opened)


def _end_kept(answer: Answer) -> None:
    answer.cost, answer.price_version = 0.0, KEPT

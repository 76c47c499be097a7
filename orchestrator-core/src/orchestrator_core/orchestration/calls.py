"""Calls to providers: routed, opened through the pipeline, and counted where they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from orchestrator_core.orchestration.answer import Answer, EmbeddingAnswer
from orchestrator_core.orchestration.cache import AnswerCache, size_of_vectors
from orchestrator_core.orchestration.guards import Guards
from orchestrator_core.orchestration.ledger import Ledger, Payer
from orchestrator_core.orchestration.opening import OpenStream, open_stream, replayed
from orchestrator_core.orchestration.pipeline import PASSED_OVER, Call, run
from orchestrator_core.orchestration.requests import Selection
from orchestrator_core.orchestration.routing import Router, Target
from orchestrator_core.orchestration.spending import Held, Spending, given_back
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    GatewayError,
    InternalError,
    PluginError,
    ProviderBadResponse,
    ProviderTimeout,
    Secret,
    Usage,
    UsageReport,
)
from orchestrator_core.resilience.faults import is_fault
from orchestrator_core.security.principal import Principal
from orchestrator_core.sessions.models import Attempt
from orchestrator_core.telemetry.cost import Price, Prices
from orchestrator_core.telemetry.gen_ai_spans import begin_call, end_chat, end_embeddings
from orchestrator_core.telemetry.metrics import CANCELLED, Metrics
from orchestrator_core.telemetry.request_record import current_record
from orchestrator_core.telemetry.traces import Span

BILLED_PERHAPS = frozenset({CANCELLED, ProviderTimeout.code, ProviderBadResponse.code, PluginError.code})
"""The codes of tries that the provider may have worked for, and that nobody knows the tokens of."""

KEPT = "cache"
"""The price version of an answer that was given before: it costs nothing, whatever the tables say."""

_NOTHING: Mapping[int, tuple[Target, Usage]] = MappingProxyType({})


class Calls:
    """Opens calls, and tells the metrics and the ledger what came of them."""

    def __init__(
        self,
        router: Router,
        prices: Prices,
        ledger: Ledger,
        metrics: Metrics,
        guards: Guards,
        spending: Spending,
        cache: AnswerCache | None,
    ) -> None:
        """Make what opens calls.

        Args:
            router: Resolves names.
            prices: What is known about prices.
            ledger: Takes what calls used that are not counted as they are stored.
            metrics: What is counted.
            guards: Stand between the calls and providers that fail.
            spending: Watches the budgets of clients.
            cache: Keeps answers; None keeps none.
        """
        self._router = router
        self._prices = prices
        self._ledger = ledger
        self._metrics = metrics
        self._guards = guards
        self._spending = spending
        self._cache = cache

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
        targets = self._router.targets(principal, selection, "chat")
        call = Call(request, targets, selection.credential, principal.tenant, selection.cache)
        return await self.open(call, Payer(principal, "chat", user_id or ""))

    async def embed(
        self, principal: Principal, selection: Selection, request: EmbeddingRequest, user_id: str | None = None
    ) -> EmbeddingAnswer:
        """Ask for vectors; the arguments are those of `chat`.

        Raises:
            GatewayError: No provider answered, or the request cannot be routed.
        """
        targets = self._router.targets(principal, selection, "embeddings")
        call = Call(request, targets, selection.credential, principal.tenant, selection.cache)
        payer = Payer(principal, "embeddings", user_id or "")
        if self._cache is not None and (kept := self._cache.find_vectors(call, payer.operation)) is not None:
            return EmbeddingAnswer(call.target.provider.id, kept.model or call.target.model, call.attempts, kept, 0.0)
        held = await self._spending.reserve(principal, call)
        spans: list[Span] = []

        async def send(target: Target, request: EmbeddingRequest) -> EmbeddingResponse:
            span = self._begin_span(target, payer, request)
            try:
                with span, self._in_flight(target):
                    response = await target.provider.embed(request)
            except BaseException as error:
                span.end(_code(error))
                raise
            spans.append(span)
            return response

        with given_back(held):
            try:
                response = await run(call, send, self._guards)
            finally:
                self._count_failures(call, payer, held)
                if call.place is not None:
                    call.place.leave()
        if call.permit is not None:
            call.permit.end(failed=False)
        provider, model = call.target.provider, response.model or call.target.model
        paid = self._price(call.target, model, response.usage) if response.usage else None
        cost = paid.usd if paid else None
        seconds = call.attempts[-1].duration
        if held is not None:
            held.charge_try(response.usage, cost)
            held.end()
        self._ledger.add(payer, provider.id, model, response.usage, cost, seconds)
        self._observe(call.attempts[-1], payer, seconds, None, response.usage, cost)
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
        cache = self._cache
        if cache is not None and (kept := cache.find_events(call, payer.operation)) is not None:
            return Answer(call, replayed(kept, call.deadline), _end_kept, kept=True)
        held = await self._spending.reserve(payer.principal, call)
        before, spent = len(call.attempts), dict[int, tuple[Target, Usage]]()

        async def send(target: Target, request: ChatRequest) -> OpenStream:
            early: list[ChatEvent] = []
            span = self._begin_span(target, payer, request)
            self._metrics.count_call_in_flight(target.provider.id, 1)
            events = target.provider.chat(request)
            recording = cache.recording(call) if cache is not None else None
            if recording is not None:
                events = recording.listen(events)
            try:
                with span:
                    opened = await open_stream(events, request.deadline, stream=request.stream, early=early)
                opened.span, opened.recording = span, recording
                return opened
            except BaseException as error:
                span.end(_code(error))
                self._metrics.count_call_in_flight(target.provider.id, -1)
                reports = [event.usage for event in early if isinstance(event, UsageReport) and event.usage]
                if reports:
                    spent[len(call.attempts)] = target, reports[-1]
                raise

        with given_back(held):
            try:
                opened = await run(call, send, self._guards)
            finally:
                self._count_failures(call, payer, held, before, spent)
        tried = call.attempts[-1]
        begun = time.monotonic() - tried.duration
        first_chunk = tried.duration if call.request.stream else None
        permit, place = call.permit, call.place

        async def on_end(answer: Answer) -> None:
            if place is not None:
                place.leave()
            if permit is not None:
                permit.end(failed=_failed(answer, call.deadline))
            self._metrics.count_call_in_flight(answer.provider, -1)
            usage = answer.usage
            if usage and (paid := self._price(answer.target, answer.model, usage)):
                answer.cost, answer.price_version = paid.usd, paid.version
            if held is not None:
                held.charge(*((usage, answer.cost) if usage else self._spending.guess(call, answer)))
                held.end()
            code, seconds = None if answer.complete else "interrupted", time.monotonic() - begun
            if not stored:
                self._ledger.add(payer, answer.provider, answer.model, usage, answer.cost, seconds)
            if opened.span.recorded:
                end_chat(opened.span, answer.folded, first_chunk, answer.cost, code)
            self._observe(tried, payer, seconds, code, usage, answer.cost, first_chunk)
            recording = opened.recording
            if cache is not None and recording is not None and recording.events and answer.complete:
                cache.keep(call, recording.events, recording.size)

        return Answer(call, opened, on_end)

    def _count_failures(
        self,
        call: Call[Any],
        payer: Payer,
        held: Held | None,
        before: int = 0,
        spent: Mapping[int, tuple[Target, Usage]] = _NOTHING,
    ) -> None:
        """Tell what became of the tries that failed.

        Args:
            call: The call.
            payer: Who is charged.
            held: What is held of a budget.
            before: The first try that was not told yet.
            spent: What the provider said of the tokens of a try before it failed.
        """
        for place, attempt in enumerate(call.attempts[before:], before):
            if attempt.error in PASSED_OVER:
                self._metrics.observe_passed_over(attempt.provider, attempt.error)
                continue
            if place > 0:
                failed = call.attempts[place - 1]
                other = (failed.provider, failed.model) != (attempt.provider, attempt.model)
                self._metrics.observe_next_try(failed.provider, attempt.provider, other=other)
            if attempt.error is None:
                continue
            cost, (target, usage) = None, spent.get(place, (None, None))
            if target is not None and usage is not None:
                paid = self._price(target, target.model, usage)
                cost = paid.usd if paid else None
            if usage is not None or attempt.error in BILLED_PERHAPS:
                self._ledger.add(payer, attempt.provider, attempt.model, usage, cost, attempt.duration)
                if held is not None:
                    held.charge_try(usage, cost)
            self._observe(attempt, payer, attempt.duration, attempt.error, usage, cost)

    def _observe(
        self,
        attempt: Attempt,
        payer: Payer,
        seconds: float,
        code: str | None,
        usage: Usage | None,
        cost: float | None,
        first_chunk: float | None = None,
    ) -> None:
        """Tell the metrics of a try that has ended, and the record of the request that it was made for."""
        self._metrics.observe_call(
            attempt.provider, attempt.model, payer.operation, seconds, code, usage, cost, first_chunk
        )
        record = current_record()
        if record is not None and payer.operation != "summarize":
            gen_ai_provider = self._metrics.gen_ai_provider(attempt.provider)
            record.add_call(payer.operation, attempt.provider, gen_ai_provider, attempt.model, usage, cost)

    def _begin_span(self, target: Target, payer: Payer, request: ChatRequest | EmbeddingRequest) -> Span:
        name = target.provider.id
        return begin_call(payer.operation, name, self._metrics.gen_ai_provider(name), request)

    @contextmanager
    def _in_flight(self, target: Target) -> Iterator[None]:
        self._metrics.count_call_in_flight(target.provider.id, 1)
        try:
            yield
        finally:
            self._metrics.count_call_in_flight(target.provider.id, -1)

    def _price(self, target: Target, model: str, usage: Usage) -> Price | None:
        provider = target.provider
        return self._prices.price(provider.id, provider.info, model, usage, asked=target.model)


async def _end_kept(answer: Answer) -> None:
    answer.cost, answer.price_version = 0.0, KEPT


def _failed(answer: Answer, deadline: Deadline) -> bool | None:
    """Whether the provider broke an answer off; None where somebody else did.

    Once an answer has begun, it is mostly its reader who makes it last until the deadline.
    """
    if answer.complete:
        return False
    if answer.failure is not None and is_fault(answer.failure, in_time=not deadline.expired):
        return True
    return None


def _code(error: BaseException) -> str:
    """Return the code of what ended a try, as `pipeline` has it."""
    if isinstance(error, GatewayError):
        return error.code
    return CANCELLED if isinstance(error, asyncio.CancelledError) else InternalError.code

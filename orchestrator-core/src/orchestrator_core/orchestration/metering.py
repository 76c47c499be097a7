"""What is told of tries at providers: to metrics, to the record of the request, to the ledger, and to budgets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from orchestrator_core.orchestration.call import Call
from orchestrator_core.orchestration.ledger import Ledger, Payer
from orchestrator_core.orchestration.pipeline import PASSED_OVER
from orchestrator_core.orchestration.routing import Target
from orchestrator_core.orchestration.spending import Held
from orchestrator_core.provider_api import (
    ChatRequest,
    EmbeddingRequest,
    GatewayError,
    InternalError,
    PluginError,
    ProviderBadResponse,
    ProviderTimeout,
    Usage,
)
from orchestrator_core.sessions.models import Attempt
from orchestrator_core.telemetry import traces
from orchestrator_core.telemetry.cost import Price, Prices
from orchestrator_core.telemetry.gen_ai_spans import begin_call
from orchestrator_core.telemetry.metrics import CANCELLED, Metrics
from orchestrator_core.telemetry.request_record import current_record
from orchestrator_core.telemetry.traces import NO_SPAN, Span

BILLED_PERHAPS = frozenset({CANCELLED, ProviderTimeout.code, ProviderBadResponse.code, PluginError.code})
"""The codes of tries that the provider may have worked for, and that nobody knows the tokens of."""

HELD = "held"
"""The price version of a call that costs a budget what was held for it, because no table knows its price."""

NOTHING: Mapping[int, Usage] = MappingProxyType({})
"""What is known of tries of which no provider said anything."""


class Meter:
    """Counts tries, and what they used and cost.

    Attributes:
        ledger: Takes what calls used that are not counted as they are stored.
        count_in_flight: Counts a try at a provider that begins (1) or ends (-1).
    """

    def __init__(self, prices: Prices, ledger: Ledger, metrics: Metrics) -> None:
        """Make a meter.

        Args:
            prices: What is known about prices.
            ledger: Takes what calls used that are not counted as they are stored.
            metrics: What is counted.
        """
        self.ledger = ledger
        self.count_in_flight = metrics.count_call_in_flight
        self._prices = prices
        self._metrics = metrics

    def bill(self, target: Target, model: str, usage: Usage, held: Held | None) -> Price | None:
        """Return what a call is said to have cost; None where its price is unknown.

        A budget in money is charged for every call: for one without a price what was held. What is charged is stored.
        """
        provider = target.provider
        found = self._prices.price(provider.id, provider.info, model, usage, asked=target.model)
        if found is None and held is not None and held.usd is not None:
            return Price(held.usd, HELD)
        return found

    @contextmanager
    def in_flight(self, target: Target) -> Iterator[None]:
        """Count a try while it lasts."""
        self.count_in_flight(target.provider.id, 1)
        try:
            yield
        finally:
            self.count_in_flight(target.provider.id, -1)

    def begin_span(self, target: Target, payer: Payer, request: ChatRequest | EmbeddingRequest) -> Span:
        """Begin the span of a try."""
        recorder = traces.recording()
        if recorder is None:
            return NO_SPAN
        name = target.provider.id
        return begin_call(recorder, payer.operation, name, self._metrics.gen_ai_provider(name), request)

    def count_failures(
        self,
        call: Call[Any],
        payer: Payer,
        held: Held | None,
        spent: Mapping[int, Usage] = NOTHING,
    ) -> None:
        """Tell what became of the tries that failed, of each once.

        Args:
            call: The call.
            payer: Who is charged.
            held: What is held of a budget.
            spent: What the provider said of the tokens of a try before it failed.
        """
        first, call.told = call.told, len(call.attempts)
        for place, attempt in enumerate(call.attempts[first:], first):
            if attempt.error in PASSED_OVER:
                self._metrics.observe_passed_over(attempt.provider, attempt.error)
                continue
            if attempt.error is None:
                continue
            usage, perhaps = spent.get(place), attempt.error in BILLED_PERHAPS
            if usage is None and perhaps and held is not None:
                usage = held.unsaid
            cost = self._cost(call, attempt, usage, held) if usage is not None else None
            if usage is not None or perhaps:
                self.ledger.add(payer, attempt.provider, attempt.model, usage, cost, attempt.duration)
            if held is not None and usage is not None:
                held.charge(usage, cost)
            self.observe(attempt, payer, attempt.duration, attempt.error, usage, cost)

    async def cover(
        self, call: Call[Any], payer: Payer, held: Held, spent: Mapping[int, Usage], under_way: int
    ) -> None:
        """Hold what one more try of a call may cost; those that failed are told, and charged, before.

        Args:
            call: The call.
            payer: Who is charged.
            held: What is held of a budget.
            spent: As for `count_failures`.
            under_way: How many tries are under way.

        Raises:
            BudgetExceeded: It is not there.
            StorageError: Nobody knows what was spent so far.
        """
        self.count_failures(call, payer, held, spent)
        await held.take(under_way)

    def _cost(self, call: Call[Any], attempt: Attempt, usage: Usage, held: Held | None) -> float | None:
        for target in call.targets:
            if (target.provider.id, target.model) == (attempt.provider, attempt.model):
                paid = self.bill(target, target.model, usage, held)
                return paid.usd if paid else None
        return None

    def observe(
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


def code_of(error: BaseException) -> str:
    """Return the code of what ended a try, as `pipeline` has it."""
    if isinstance(error, GatewayError):
        return error.code
    return CANCELLED if isinstance(error, asyncio.CancelledError) else InternalError.code

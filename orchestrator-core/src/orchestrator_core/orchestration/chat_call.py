"""One call of a chat: its tries are opened here, and what came of its answer is counted here."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial

from orchestrator_core.orchestration.answer import Answer
from orchestrator_core.orchestration.cache import AnswerCache
from orchestrator_core.orchestration.call import Call
from orchestrator_core.orchestration.estimate import asked_tokens, unsaid_usage
from orchestrator_core.orchestration.ledger import Payer
from orchestrator_core.orchestration.metering import Meter, code_of
from orchestrator_core.orchestration.opening import OpenStream, open_stream
from orchestrator_core.orchestration.spending import Held
from orchestrator_core.provider_api import ChatEvent, ChatRequest, Deadline, GatewayError, Usage, UsageReport
from orchestrator_core.resilience.admission import Place
from orchestrator_core.resilience.breakers import Permit
from orchestrator_core.resilience.faults import is_fault
from orchestrator_core.resilience.waits import Waits
from orchestrator_core.sessions.models import Attempt
from orchestrator_core.telemetry.gen_ai_spans import end_chat
from orchestrator_core.telemetry.metrics import CANCELLED


class ChatCall:
    """A call while it lasts."""

    __slots__ = ("_cache", "_call", "_held", "_meter", "_payer", "_spent", "_stored", "_waits")

    def __init__(
        self,
        call: Call[ChatRequest],
        payer: Payer,
        held: Held | None,
        meter: Meter,
        cache: AnswerCache | None,
        waits: Waits,
        *,
        stored: bool,
    ) -> None:
        """Begin a call.

        Args:
            call: Whom to ask what.
            payer: Who is charged.
            held: What is held of a budget.
            meter: Counts.
            cache: Keeps answers; None keeps none.
            waits: Looks after the time of each try.
            stored: Whether the answer is counted as it is stored.
        """
        self._call = call
        self._payer = payer
        self._held = held
        self._meter = meter
        self._cache = cache
        self._waits = waits
        self._stored = stored
        self._spent: dict[int, Usage] = {}

    async def send(self, call: Call[ChatRequest], request: ChatRequest) -> OpenStream:
        """Make a try, and return it opened.

        Args:
            call: Says whom to ask; this call, or one that runs beside it.
            request: What to ask.
        """
        target = call.target
        early: list[ChatEvent] = []
        span = self._meter.begin_span(target, self._payer, request)
        self._meter.count_in_flight(target.provider.id, 1)
        recording = self._cache.recording(self._call) if self._cache is not None else None
        try:
            events = target.provider.chat(request)
            if recording is not None:
                events = recording.listen(events)
            with span:
                opened = await open_stream(events, request.deadline, self._waits, stream=request.stream, early=early)
            if call.lost:  # its rival opened in the same moment
                await opened.aclose()
                raise asyncio.CancelledError
        except BaseException as error:
            span.end(code_of(error))
            self._meter.count_in_flight(target.provider.id, -1)
            reports = [event.usage for event in early if isinstance(event, UsageReport) and event.usage]
            if reports:
                self._spent[len(self._call.attempts)] = reports[-1]
            raise
        opened.span, opened.recording = span, recording
        return opened

    async def discard(self, call: Call[ChatRequest], opened: OpenStream) -> None:
        """Close a try that was opened and that nobody wants any more."""
        call.attempts[-1] = replace(call.attempts[-1], error=CANCELLED)
        if call.permit is not None:
            call.permit.end(failed=None)
        opened.span.end(CANCELLED)
        self._meter.count_in_flight(call.target.provider.id, -1)
        try:
            await opened.aclose()
        finally:
            if call.place is not None:
                call.place.leave()

    async def cover(self, under_way: int) -> None:
        """Hold what another try may cost, where there is a budget; see `Meter.cover`."""
        if self._held is not None:
            await self._meter.cover(self._call, self._payer, self._held, self._spent, under_way)

    def count_failures(self) -> None:
        """Tell what became of the tries that failed."""
        self._meter.count_failures(self._call, self._payer, self._held, self._spent)

    def answer(self, opened: OpenStream) -> Answer:
        """Return the answer of the try that was opened, which is counted where it ends."""
        call = self._call
        tried = call.attempts[-1]
        end = partial(self._end, opened, tried, call.place, call.permit, time.monotonic() - tried.duration)
        return Answer(call, opened, end)

    def _end(
        self,
        opened: OpenStream,
        tried: Attempt,
        place: Place | None,
        permit: Permit | None,
        begun: float,
        answer: Answer,
    ) -> None:
        """Tell what became of an answer."""
        call, payer, held, meter = self._call, self._payer, self._held, self._meter
        if place is not None:
            place.leave()
        complete, usage = answer.complete, answer.usage
        if permit is not None:
            permit.end(failed=False if complete else _failed(answer.failure, call.deadline))
        meter.count_in_flight(answer.provider, -1)
        if not complete or (held is not None and not (usage and usage.total_input and usage.total_output)):
            usage = answer.estimate = self._estimate(answer, usage)
        if usage and (paid := meter.bill(answer.target, answer.model, usage, held)):
            answer.cost, answer.price_version = paid.usd, paid.version
        if held is not None and usage is not None:
            held.charge(usage, answer.cost)
            held.end()
        code, seconds = None if complete else _code(answer.failure), time.monotonic() - begun
        if not self._stored:
            meter.ledger.add(payer, answer.provider, answer.model, usage, answer.cost, seconds)
        first_chunk = tried.duration if call.request.stream else None
        if opened.span.recorded:
            end_chat(opened.span, answer.folded, first_chunk, answer.cost, code)
        meter.observe(tried, payer, seconds, code, usage, answer.cost, first_chunk)
        cache, recording = self._cache, opened.recording
        if cache is not None and recording is not None and recording.events and complete:
            cache.keep(call, recording.events, recording.size)

    def _estimate(self, answer: Answer, told: Usage | None) -> Usage:
        """Return what an answer used of which the provider did not tell all, as far as it can be known."""
        held = self._held
        asked = asked_tokens(self._call.request) if held is None else held.unsaid.input_tokens
        estimate = unsaid_usage(asked, answer.folded, answer.unread, told, whole=answer.complete)
        unsaid = told is None or estimate.total_output > told.total_output
        return held.broken if held is not None and held.broken is not None and unsaid else estimate


def _code(failure: Exception | None) -> str:
    """Return the code of what broke an answer off that had begun; without a failure its reader gave it up."""
    if failure is None:
        return CANCELLED
    return "interrupted" if isinstance(failure, GatewayError) else code_of(failure)


def _failed(failure: Exception | None, deadline: Deadline) -> bool | None:
    """Whether the provider broke an answer off that had begun; None where somebody else did.

    Once an answer has begun, it is mostly its reader who makes it last until the deadline.
    """
    if isinstance(failure, GatewayError) and is_fault(failure, in_time=not deadline.expired):
        return True
    return None

"""The heart of the gateway, as the surfaces see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeVar

import structlog

from orchestrator_core.config import Config
from orchestrator_core.orchestration.answer import Answer, EmbeddingAnswer
from orchestrator_core.orchestration.context import View, results_check
from orchestrator_core.orchestration.ledger import Ledger
from orchestrator_core.orchestration.locks import LocalLocks, SessionLocks, when_free
from orchestrator_core.orchestration.memory import Memory
from orchestrator_core.orchestration.opening import OpenStream, open_stream
from orchestrator_core.orchestration.pipeline import Call, run
from orchestrator_core.orchestration.replay import ReplayedAnswer
from orchestrator_core.orchestration.requests import Selection, TurnRequest
from orchestrator_core.orchestration.routing import Router, Target
from orchestrator_core.orchestration.shared_locks import SharedLocks
from orchestrator_core.orchestration.turn import TurnAnswer
from orchestrator_core.plugins import Registry
from orchestrator_core.provider_api import (
    ChatRequest,
    Conflict,
    ContextTooLong,
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    GatewayError,
    InternalError,
    Secret,
    SessionEnded,
    StorageBusy,
    StorageError,
)
from orchestrator_core.resilience.keys import KeyRing
from orchestrator_core.resilience.shared_state import SharedState
from orchestrator_core.security.events import report
from orchestrator_core.security.principal import Principal
from orchestrator_core.sessions.models import FinishedTurn, NewTurn, StartedTurn, StoredSummary, TurnOutcome, TurnState
from orchestrator_core.sessions.store import SessionStore
from orchestrator_core.telemetry.cost import Prices, load_tables
from orchestrator_core.telemetry.metrics import Metrics

T = TypeVar("T")

FINISH_DELAYS = (0.5, 2.0, 5.0, 15.0, 30.0)
"""Seconds before each further try to store the end of a turn."""

log = structlog.get_logger(__name__)


class Gateway:
    """Answers calls and turns.

    Attributes:
        config: The configuration.
        registry: The providers.
        store: The conversations.
        metrics: What is counted.
        shared: What all processes share over Redis; None where no Redis is configured.
        router: Resolves names.
        stopping: Whether no new work is taken.
    """

    def __init__(self, config: Config, registry: Registry, store: SessionStore, metrics: Metrics) -> None:
        """Put the parts together; `start` before use.

        Raises:
            ConfigError: A Redis is configured that cannot be used.
        """
        self.config = config
        self.registry = registry
        self.store = store
        self.metrics = metrics
        self.shared = SharedState.from_settings(config.settings, self._report_shared_state)
        self.router = Router(config.settings, registry)
        self.stopping = False
        self._keys = KeyRing()
        wait = config.settings.session_wait
        self._locks: SessionLocks = SharedLocks(self.shared, wait) if self.shared else LocalLocks(wait)
        self._prices = Prices(config.settings.prices)
        self._ledger = Ledger(store)
        self._memory = Memory(config.settings, self.router, store, self._open_summary, self._prices)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()

    async def start(self) -> None:
        """Open the store and the providers, and connect to Redis where one is configured.

        Raises:
            StorageError: The store cannot be opened.
            ConfigError: Redis refuses this gateway.
        """
        if self.shared is not None:
            await self.shared.start()
        await asyncio.gather(self.store.open(), self.registry.start())
        self._ledger.start()
        if any(provider.info.price_id for provider in self.registry.usable):
            # In a thread, and waited for by nobody: reading the tables takes a quarter of a second.
            self._own(asyncio.to_thread(load_tables))

    async def close(self) -> None:
        """Finish what must be stored, then close everything."""
        self.stopping = True
        self._closing.set()
        await self._memory.close()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._ledger.close()
        await self.registry.close()
        await self.store.close()
        if self.shared is not None:
            await self.shared.close()

    def deadline(self, timeout: float | None = None) -> Deadline:
        """Return the deadline of a request that begins now; `timeout` (seconds) can only shorten it."""
        return self.config.settings.deadline(timeout)

    async def chat(self, principal: Principal, selection: Selection, request: ChatRequest) -> Answer:
        """Open a call: when this returns, the first content has come.

        Args:
            principal: Who asks.
            selection: Who is to answer.
            request: What is asked; `model` and `credential` are filled in.

        Raises:
            GatewayError: No provider answered, or the request cannot be routed.
        """
        call = Call(request, self.router.targets(principal, selection, "chat"), selection.credential)
        return await self._open(call, payer=principal)

    async def embed(self, principal: Principal, selection: Selection, request: EmbeddingRequest) -> EmbeddingAnswer:
        """Ask for vectors.

        Raises:
            GatewayError: No provider answered, or the request cannot be routed.
        """
        call = Call(request, self.router.targets(principal, selection, "embeddings"), selection.credential)
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
        self.metrics.observe_call(provider.id, call.target.model, "embeddings", seconds, None, response.usage, cost)
        return EmbeddingAnswer(provider.id, model, call.attempts, response, cost)

    async def turn(self, principal: Principal, request: TurnRequest) -> TurnAnswer:
        """Begin a turn: when this returns, what was said is stored and the first content of the answer has come.

        Raises:
            NotFound: No such session of this tenant.
            SessionBusy: Another turn did not end in time.
            StorageError: Nothing could be stored; no provider was asked.
            GatewayError: No provider answered, or the request cannot be routed.
        """
        begun = time.monotonic()
        targets = await self._targets(principal, request)
        async with AsyncExitStack() as stack:
            fence, wait = None, 0.0
            if request.session_id is not None:
                left = min(self.config.settings.session_wait, request.template.deadline.remaining())
                fence = await stack.enter_async_context(self._locks.hold(request.session_id, left))
                wait = left - (time.monotonic() - begun) if fence is None else 0.0
            started = await when_free(lambda: self._begin(principal, request, fence, stack), wait)
            if started.finished is not None:
                return self._replay(started, begun, stack.pop_all())
            call = Call(request.template, targets, request.selection.credential)
            view: View | None = None

            async def finish(outcome: TurnOutcome, held: AsyncExitStack) -> FinishedTurn:
                # Owned: a caller who leaves, even twice, neither stops it nor frees the session before it is done.
                return await asyncio.shield(self._own(self._finish(principal, call, started, view, outcome, held)))

            try:
                view = await self._memory.remember(principal, request, started, call.target)
                view, answer = await self._ask(principal, request, view, call)
            except BaseException as error:
                outcome = _failure(error, call, time.monotonic() - begun, stopping=self.stopping)
                if isinstance(error, GatewayError):
                    error.session_id, error.turn_id = started.session.id, started.turn_id
                await finish(outcome, stack.pop_all())
                raise
            return TurnAnswer(
                view.started, answer, finish, begun=begun, held=stack.pop_all(), stopping=lambda: self.stopping
            )

    async def summarize(
        self, principal: Principal, session_id: str, selection: Selection | None, keep: int = 0
    ) -> StoredSummary | None:
        """Summarise a session now; see `Memory.force`."""
        return await self._memory.force(principal, session_id, selection, keep)

    async def _targets(self, principal: Principal, request: TurnRequest) -> Sequence[Target]:
        """Route a turn; where that fails, a session that is not there or has ended is the better reason."""
        try:
            return self.router.targets(principal, request.selection, "chat")
        except GatewayError:
            if request.session_id is not None:
                session = await self.store.get_session(principal.tenant, request.session_id)
                if session.status != "active":
                    raise SessionEnded(
                        f"The session is {session.status}: begin a new one.", code=f"session_{session.status}"
                    ) from None
            raise

    async def _begin(
        self, principal: Principal, request: TurnRequest, fence: int | None, held: AsyncExitStack
    ) -> StartedTurn:
        """Store the beginning of a turn.

        A caller who leaves meanwhile leaves no pending turn behind, and the session is held until it is ended.
        """
        turn = NewTurn(
            messages=request.messages,
            session_id=request.session_id,
            user_id=request.user_id,
            metadata=request.metadata,
            idempotency_key=request.idempotency_key,
            client=principal.id,
            fence=fence,
            check=results_check(request.messages),
        )
        beginning = self._own(self.store.begin_turn(principal.tenant, turn))
        try:
            async with asyncio.timeout(request.template.deadline.remaining()):
                return await asyncio.shield(beginning)
        except TimeoutError:
            self._own(self._abandon(principal, beginning, held.pop_all()))
            raise StorageBusy("The conversation store is busy: try again.", retry_after=1.0) from None
        except asyncio.CancelledError:
            self._own(self._abandon(principal, beginning, held.pop_all()))
            raise

    async def _abandon(self, principal: Principal, beginning: asyncio.Task[StartedTurn], held: AsyncExitStack) -> None:
        """Wait for a beginning that nobody wants any more, and end it."""
        async with held:
            try:
                started = await beginning
            except GatewayError as error:
                log.warning("turn was not stored", error=error.code)
                return
            if started.finished is None:
                await self._store_end(principal, started, TurnOutcome(state="client_closed", error_code="cancelled"))

    async def _ask(
        self, principal: Principal, request: TurnRequest, view: View, call: Call[ChatRequest]
    ) -> tuple[View, Answer]:
        """Open the call of a turn. Where the conversation is too long, it is condensed and asked once more."""
        call.request = view.request
        try:
            return view, await self._open(call)
        except ContextTooLong:
            shorter = await self._memory.shorten(principal, request, view, call.target)
            if shorter is None:
                raise
        call.request = shorter.request
        call.targets = call.targets[call.targets.index(call.target) :]
        return shorter, await self._open(call)

    async def _finish(
        self,
        principal: Principal,
        call: Call[ChatRequest],
        started: StartedTurn,
        view: View | None,
        outcome: TurnOutcome,
        held: AsyncExitStack,
    ) -> FinishedTurn:
        """Store the end of a turn, give free what it held, and have the session summarised where that is due."""
        async with held:
            finished = await self._store_end(principal, started, outcome)
        if not self.stopping:
            self._memory.ended(principal, view, call.target, outcome, finished)
        return finished

    async def _store_end(self, principal: Principal, started: StartedTurn, outcome: TurnOutcome) -> FinishedTurn:
        """Store the end of a turn; one that cannot be stored now is tried again later.

        Raises:
            StorageError: It could not be stored yet.
            Conflict: The turn was given up in the meantime, and the conversation went on.
            InternalError: The outcome itself cannot be stored; that the turn was interrupted is.
        """
        try:
            return await self.store.finish_turn(principal.tenant, started.turn_id, outcome)
        except StorageError:
            self._own(self._store_end_later(principal, started, outcome))
            raise
        except Conflict:
            log.warning("turn ended too late", session_id=started.session.id)
            raise
        except Exception:
            log.exception("turn cannot be stored", session_id=started.session.id)
            bare = TurnOutcome(state="interrupted", error_code="internal_error", duration=outcome.duration)
            await self.store.finish_turn(principal.tenant, started.turn_id, bare)
            raise InternalError("The answer could not be stored. Send the message again.") from None

    async def _store_end_later(self, principal: Principal, started: StartedTurn, outcome: TurnOutcome) -> None:
        """Try to store an end until the store is back: a turn that stays pending would block its session."""
        for delay in FINISH_DELAYS:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._closing.wait()
            try:
                await self.store.finish_turn(principal.tenant, started.turn_id, outcome)
            except StorageError as error:
                log.warning("turn was not stored", session_id=started.session.id, error=error.code)
            else:
                return
            if self._closing.is_set():
                break
        log.error("turn stays pending until the next start", session_id=started.session.id)

    def _own(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something that must be finished even if the caller is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _report_shared_state(self, reason: str | None) -> None:
        if reason is None:
            report("shared_state_restored", self.metrics)
        else:
            report("shared_state_lost", self.metrics, reason=reason)

    def _replay(self, started: StartedTurn, begun: float, held: AsyncExitStack) -> TurnAnswer:
        async def finish(_: TurnOutcome, held: AsyncExitStack) -> FinishedTurn:
            async with held:
                return FinishedTurn(session=started.session, answer=started.answer, unsummarized=0)

        if started.finished is None:
            raise RuntimeError("only a finished turn is replayed")
        answer = ReplayedAnswer(started.finished)
        return TurnAnswer(started, answer, finish, begun=begun, held=held, stopping=lambda: self.stopping)

    async def _open_summary(self, target: Target, credential: Secret | None, request: ChatRequest) -> Answer:
        return await self._open(Call(request, [target], credential), "summarize")

    async def _open(self, call: Call[ChatRequest], operation: str = "chat", payer: Principal | None = None) -> Answer:
        """Open a call; that of a turn or a summary has no payer, since it is counted as that is stored."""
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
            self.metrics.observe_call(
                answer.provider, answer.target.model, operation, seconds, code, usage, answer.cost
            )

        return Answer(call, opened, on_end)

    def _observe_failures(self, call: Call[Any], operation: str, before: int = 0) -> None:
        for attempt in call.attempts[before:]:
            if attempt.error is not None:
                self.metrics.observe_call(
                    attempt.provider, attempt.model, operation, attempt.duration, attempt.error, None, None
                )


def _failure(error: BaseException, call: Call[ChatRequest], duration: float, *, stopping: bool) -> TurnOutcome:
    """Return the outcome of a turn that no provider answered."""
    if isinstance(error, asyncio.CancelledError):
        state: TurnState = "interrupted" if stopping else "client_closed"
        code = "cancelled"
    else:
        state, code = "failed", error.code if isinstance(error, GatewayError) else "internal_error"
    return TurnOutcome(state=state, attempts=tuple(call.attempts), error_code=code, duration=duration)


async def _send_chat(target: Target, request: ChatRequest) -> OpenStream:
    return await open_stream(target.provider.chat(request), request.deadline, stream=request.stream)


async def _send_embedding(target: Target, request: EmbeddingRequest) -> EmbeddingResponse:
    return await target.provider.embed(request)

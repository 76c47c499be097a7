"""Turns of sessions: stored as they begin, answered, and stored as they end, whoever leaves or fails meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Final, TypeVar

import structlog

from orchestrator_core.orchestration.answer import Answer
from orchestrator_core.orchestration.call import Call
from orchestrator_core.orchestration.calls import Calls
from orchestrator_core.orchestration.context import View, results_check
from orchestrator_core.orchestration.granted_fields import check_fields
from orchestrator_core.orchestration.ledger import Ledger, Payer
from orchestrator_core.orchestration.locks import SessionLocks, when_free
from orchestrator_core.orchestration.memory import Memory
from orchestrator_core.orchestration.replay import ReplayedAnswer
from orchestrator_core.orchestration.requests import TurnRequest
from orchestrator_core.orchestration.routing import Router, Target
from orchestrator_core.orchestration.turn import TurnAnswer
from orchestrator_core.provider_api import (
    ChatRequest,
    Conflict,
    ContextTooLong,
    DeadlineExceeded,
    GatewayError,
    InternalError,
    NotFound,
    SessionEnded,
    StorageBusy,
    StorageError,
)
from orchestrator_core.resilience.waits import Waits
from orchestrator_core.security.principal import Principal
from orchestrator_core.sessions.models import FinishedTurn, NewTurn, StartedTurn, TurnOutcome, TurnState
from orchestrator_core.sessions.settings import settings_of
from orchestrator_core.sessions.store import SessionStore
from orchestrator_core.telemetry.metrics import Metrics
from orchestrator_core.telemetry.traces import begin

T = TypeVar("T")

FINISH_DELAYS = (0.5, 2.0, 5.0, 15.0, 30.0)
"""Seconds before each further try to store the end of a turn."""

_STORE_IS_BUSY: Final = 1.0
"""Seconds: a store that takes longer to begin a turn is busy. Where the caller allowed less, that was too little."""

log = structlog.get_logger(__name__)


class Turns:
    """Answers turns of sessions."""

    def __init__(
        self,
        store: SessionStore,
        router: Router,
        calls: Calls,
        memory: Memory,
        ledger: Ledger,
        locks: SessionLocks,
        metrics: Metrics,
        *,
        wait: float,
        stopping: Callable[[], bool],
    ) -> None:
        """Make what answers turns of the running event loop.

        Args:
            store: The conversations.
            router: Resolves names.
            calls: Opens calls.
            memory: Keeps conversations short.
            ledger: Takes what turns used that have no session any more.
            locks: Serialise the turns of a session.
            metrics: What is counted.
            wait: Seconds that a turn waits for the one before it.
            stopping: Whether the gateway is going down.
        """
        self._stopping = stopping
        self._store = store
        self._router = router
        self._calls = calls
        self._memory = memory
        self._ledger = ledger
        self._locks = locks
        self._metrics = metrics
        self._wait = wait
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()
        self._waits = Waits()

    async def close(self) -> None:
        """Finish what must be stored."""
        self._closing.set()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def answer(self, principal: Principal, request: TurnRequest) -> TurnAnswer:
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
                left = min(self._wait, request.template.deadline.remaining())
                fence = await stack.enter_async_context(self._locks.hold(request.session_id, left))
                # Also with a lock: a turn that made its session has none, nor one that began while Redis was away.
                wait = left - (time.monotonic() - begun)
            started = await when_free(lambda: self._begin(principal, request, fence), wait)
            if started.finished is not None:
                return self._replay(started, begun, stack.pop_all())
            # Not so where the turn was taken up again: then its first try made the session.
            if request.session_id is None and started.session.last_turn_at == started.session.created_at:
                self._metrics.sessions_created.inc()
            call = Call(
                request.template,
                targets,
                request.selection.credential,
                principal.tenant,
                request.selection.cache,
            )
            view: View | None = None
            span = begin("turn")
            span.conversation = started.session.id
            span.set("gen_ai.conversation.id", started.session.id)
            span.set("orchestrator.turn_id", started.turn_id)

            async def finish(outcome: TurnOutcome, held: AsyncExitStack) -> FinishedTurn:
                span.set("orchestrator.turn_state", outcome.state)
                span.end(outcome.error_code, failed=outcome.state in ("failed", "interrupted"))
                self._metrics.observe_turn(outcome.state)
                return await self._finish(principal, call, started, view, outcome, held)

            try:
                with span:
                    view = await self._memory.remember(principal, request, started, call.target)
                    view, answer = await self._ask(principal, request, view, call)
            except BaseException as error:
                outcome = _failure(error, call, time.monotonic() - begun, stopping=self._stopping())
                if isinstance(error, GatewayError):
                    error.session_id, error.turn_id = started.session.id, started.turn_id
                await finish(outcome, stack.pop_all())
                raise
            return TurnAnswer(view.started, answer, finish, begun=begun, held=stack.pop_all(), stopping=self._stopping)

    async def _targets(self, principal: Principal, request: TurnRequest) -> Sequence[Target]:
        """Route a turn; where that fails, a session that is not there or has ended is the better reason."""
        try:
            targets = self._router.targets(principal, request.selection, "chat")
            check_fields(principal, targets, request.template)
            return targets
        except GatewayError:
            if request.session_id is not None:
                session = await self._store.get_session(principal.tenant, request.session_id)
                if session.status != "active":
                    raise SessionEnded(
                        f"The session is {session.status}: begin a new one.", code=f"session_{session.status}"
                    ) from None
            raise

    async def _begin(self, principal: Principal, request: TurnRequest, fence: int | None) -> StartedTurn:
        """Store the beginning of a turn; a caller who leaves meanwhile leaves no pending turn behind."""
        turn = NewTurn(
            messages=request.messages,
            session_id=request.session_id,
            user_id=request.user_id,
            metadata=request.metadata,
            idempotency_key=request.idempotency_key,
            fingerprint=request.fingerprint,
            client=principal.id,
            fence=fence,
            check=results_check(request.messages),
            settings=settings_of(request.template),
        )
        patience = request.template.deadline.remaining()
        try:
            with self._waits.within(patience):
                return await self._store.begin_turn(principal.tenant, turn)
        except TimeoutError:
            if patience < _STORE_IS_BUSY:
                raise DeadlineExceeded(
                    "The time for this request ended before its turn was stored. Allow it more."
                ) from None
            raise StorageBusy("The conversation store is busy: try again.", retry_after=1.0) from None

    async def _ask(
        self, principal: Principal, request: TurnRequest, view: View, call: Call[ChatRequest]
    ) -> tuple[View, Answer]:
        """Open the call of a turn. Where the conversation is too long, it is condensed and asked once more."""
        call.request, payer = view.request, _payer(principal, view.started)
        try:
            return view, await self._calls.open(call, payer, stored=True)
        except ContextTooLong:
            shorter = await self._memory.shorten(principal, request, view, call.target)
            if shorter is None:
                raise
        call.request = shorter.request
        call.targets = call.targets[call.targets.index(call.target) :]
        return shorter, await self._calls.open(call, payer, stored=True)

    async def _finish(
        self,
        principal: Principal,
        call: Call[ChatRequest],
        started: StartedTurn,
        view: View | None,
        outcome: TurnOutcome,
        held: AsyncExitStack,
    ) -> FinishedTurn:
        """Store the end of a turn, give free what it held, and have the session summarised where that is due.

        A caller who leaves, even twice, neither stops it nor frees the session before it is done.
        """
        async with held:
            try:
                finished = await self._store_end(principal, started, outcome)
            except asyncio.CancelledError:
                # Once more, since a turn that has ended stays as it is: a task for every turn would cost it more.
                self._own(_unheard(self._finish(principal, call, started, view, outcome, held.pop_all())))
                raise
        if not self._stopping():
            self._memory.ended(principal, view, call.target, outcome, finished)
        return finished

    async def _store_end(self, principal: Principal, started: StartedTurn, outcome: TurnOutcome) -> FinishedTurn:
        """Store the end of a turn; one that cannot be stored now is tried again later.

        Raises:
            StorageError: It could not be stored yet.
            GatewayError: As for `_try_to_end`.
        """
        try:
            return await self._try_to_end(principal, started, outcome)
        except StorageError:
            self._own(self._store_end_later(principal, started, outcome))
            raise

    async def _try_to_end(self, principal: Principal, started: StartedTurn, outcome: TurnOutcome) -> FinishedTurn:
        """Store the end of a turn. What it used counts also where its session keeps nothing of it.

        Raises:
            StorageError: It could not be stored yet.
            NotFound: The session was deleted in the meantime.
            Conflict: The turn was given up in the meantime, and the conversation went on.
            InternalError: The outcome itself cannot be stored; that the turn was interrupted is.
        """
        tenant, session_id = principal.tenant, started.session.id
        try:
            return await self._store.finish_turn(tenant, started, outcome)
        except StorageError:
            raise
        except (NotFound, Conflict) as error:
            log.warning("turn ended too late", session_id=session_id, error=error.code)
            self._charge(principal, started, outcome)
            raise
        except Exception:
            log.exception("turn cannot be stored", session_id=session_id)
            bare = TurnOutcome(state="interrupted", error_code="internal_error", duration=outcome.duration)
            await self._store.finish_turn(tenant, started, bare)
            self._charge(principal, started, outcome)
            raise InternalError("The answer could not be stored. Send the message again.") from None

    def _charge(self, principal: Principal, started: StartedTurn, outcome: TurnOutcome) -> None:
        """Count what a turn used that is not stored."""
        if outcome.provider is not None:
            self._ledger.add(
                _payer(principal, started),
                outcome.provider,
                outcome.model or "",
                outcome.usage,
                outcome.cost,
                outcome.duration,
            )

    async def _store_end_later(self, principal: Principal, started: StartedTurn, outcome: TurnOutcome) -> None:
        """Try to store an end until the store is back: a turn that stays pending would block its session."""
        for delay in FINISH_DELAYS:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._closing.wait()
            try:
                await self._try_to_end(principal, started, outcome)
            except StorageError as error:
                log.warning("turn was not stored", session_id=started.session.id, error=error.code)
            except GatewayError:
                return  # told in the log, and nobody else waits for it any more
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

    def _replay(self, started: StartedTurn, begun: float, held: AsyncExitStack) -> TurnAnswer:
        async def finish(_: TurnOutcome, held: AsyncExitStack) -> FinishedTurn:
            async with held:
                return FinishedTurn(session=started.session, answer=started.answer, unsummarized=0)

        if started.finished is None:
            raise RuntimeError("only a finished turn is replayed")
        answer = ReplayedAnswer(started.finished)
        return TurnAnswer(started, answer, finish, begun=begun, held=held, stopping=self._stopping)


async def _unheard(work: Coroutine[Any, Any, object]) -> None:
    """Do something for a caller who has left; what fails is told in the log."""
    with suppress(GatewayError):
        await work


def _payer(principal: Principal, started: StartedTurn) -> Payer:
    return Payer(principal, "chat", started.session.user_id or "", started.session.id)


def _failure(error: BaseException, call: Call[ChatRequest], duration: float, *, stopping: bool) -> TurnOutcome:
    """Return the outcome of a turn that no provider answered."""
    if isinstance(error, asyncio.CancelledError):
        state: TurnState = "interrupted" if stopping else "client_closed"
        code = "cancelled"
    else:
        state, code = "failed", error.code if isinstance(error, GatewayError) else "internal_error"
    return TurnOutcome(state=state, attempts=tuple(call.attempts), error_code=code, duration=duration)

"""Keeps conversations short: condenses what is old, off the caller's path, and never touches the originals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from orchestrator_core.config import Settings
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.orchestration.backoff import SummaryBackoff
from orchestrator_core.orchestration.context import View
from orchestrator_core.orchestration.estimate import TokenEstimates
from orchestrator_core.orchestration.ledger import Ledger
from orchestrator_core.orchestration.policy import SummaryPolicy
from orchestrator_core.orchestration.requests import Selection, TurnRequest
from orchestrator_core.orchestration.routing import Router, Target
from orchestrator_core.orchestration.summarizer import OpenCall, Summarizer
from orchestrator_core.provider_api import (
    ChatRequest,
    Conflict,
    GatewayError,
    InternalError,
    NotFound,
    ProviderNotConfigured,
    ProviderTimeout,
    SessionBusy,
    StorageError,
)
from orchestrator_core.security.principal import Principal
from orchestrator_core.sessions.models import FinishedTurn, StartedTurn, StoredSummary, TurnOutcome, new_id
from orchestrator_core.sessions.store import SessionStore
from orchestrator_core.sessions.weights import weigh_message
from orchestrator_core.telemetry.cost import Prices
from orchestrator_core.telemetry.metrics import Metrics

LEASE_GRACE = 10.0
"""Seconds that a lease lasts beyond the time that a summary may take."""

_POLL = 0.25

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A summary to be made.

    Attributes:
        principal: Whose session it is.
        session_id: The session.
        reader: Who goes on with the conversation.
        answered: Who summarises where nobody else is chosen.
        wanted: Who was asked for to do it.
        template: The call that is to have room; None where the summary is made whatever there is room for.
        keep: How many of the newest messages stay; None leaves it to the policy.
        patient: Whether to wait while another process makes one.
    """

    principal: Principal
    session_id: str
    reader: Target
    answered: Selection
    wanted: Selection | None = None
    template: ChatRequest | None = None
    keep: int | None = None
    patient: bool = False


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a job.

    Attributes:
        made: There is a new summary.
        more: It leaves so much that another one is to follow at once.
        busy: Another process makes one, or was faster.
        error: Why there is none.
    """

    made: bool = False
    more: bool = False
    busy: bool = False
    error: GatewayError | None = None


class Memory:
    """Summarises sessions: one summary at a time for each, over all processes."""

    def __init__(
        self,
        settings: Settings,
        router: Router,
        store: SessionStore,
        open_call: OpenCall,
        ledger: Ledger,
        prices: Prices,
        metrics: Metrics,
    ) -> None:
        """Make a memory.

        Args:
            settings: The thresholds, and who summarises.
            router: Finds the provider that summarises.
            store: Where summaries are kept.
            open_call: Opens a metered call.
            ledger: Takes what summaries used that came to nothing.
            prices: What is known about models.
            metrics: What is counted.
        """
        self._settings = settings
        self._metrics = metrics
        self._router = router
        self._store = store
        self._estimates = TokenEstimates()
        self._policy = SummaryPolicy(settings, self._estimates, prices)
        self._summarizer = Summarizer(settings, router, self._policy, self._estimates, open_call, ledger)
        self._backoff = SummaryBackoff()
        self._holder = new_id("memory")
        self._running: dict[str, asyncio.Task[_Outcome]] = {}

    async def remember(self, principal: Principal, request: TurnRequest, started: StartedTurn, target: Target) -> View:
        """Return what a turn is to show to a provider; a summary that is overdue is waited for, within bounds.

        Args:
            principal: Whose turn it is.
            request: The turn as it was asked for.
            started: The turn as it is stored.
            target: Who is asked first.

        Raises:
            StorageError: The context cannot be read.
        """
        view = View.of(request.template, started)
        if self._backoff.holds(started.session.id) or not self._policy.overdue(target, view, principal.tenant):
            return view
        job = _Job(
            principal=principal,
            session_id=started.session.id,
            reader=target,
            answered=request.selection,
            template=request.template,
            patient=True,
        )
        await asyncio.wait([self._schedule(job)], timeout=self._patience(request.template))
        return await self._again(principal, request.template, view)

    async def shorten(self, principal: Principal, request: TurnRequest, view: View, target: Target) -> View | None:
        """Condense all but the last turn, after a provider found the conversation too long.

        Args:
            principal: Whose turn it is.
            request: The turn as it was asked for.
            view: What was too long.
            target: Who said so.

        Returns:
            What to show instead; None where it did not become any shorter in time.
        """
        self._learn_refusal(principal.tenant, request.template, view, target)
        session_id = view.started.session.id
        answered = Selection(
            provider=target.provider.id, model=target.model, fallbacks=(), credential=request.selection.credential
        )
        job = _Job(principal=principal, session_id=session_id, reader=target, answered=answered, keep=0, patient=True)
        try:
            async with asyncio.timeout(self._patience(request.template)):
                if session_id in self._running:
                    await asyncio.wait([self._running[session_id]])
                await asyncio.wait([self._schedule(job)])
        except TimeoutError:
            log.warning("summary is not there in time", session_id=session_id)
        shorter = await self._again(principal, request.template, view)
        return shorter if shorter.weight.total < view.weight.total else None

    def _learn_refusal(self, tenant: str, template: ChatRequest, view: View, target: Target) -> None:
        """Learn from a refusal, unless the answer that was asked for may be the reason, or no summary could help."""
        tokens = self._estimates.tokens(target.provider.id, target.model, view.weight)
        if (self._policy.asked(target, template) or 0) >= tokens:
            return
        if not self._policy.cut(target, view.started.messages, keep=0, tenant=tenant):
            return
        room, window = self._policy.room(target, template, tenant), self._policy.known_window(target)
        self._estimates.learn_refusal(target.provider.id, target.model, view.weight, room, window, tenant=tenant)

    def ended(
        self, principal: Principal, view: View | None, target: Target, outcome: TurnOutcome, finished: FinishedTurn
    ) -> None:
        """Learn from a turn that ended, and begin a summary in the background where one is due.

        Args:
            principal: Whose turn it was.
            view: What was shown to the provider; None where it never came to that.
            target: Who answered, or was asked last.
            outcome: How it ended.
            finished: The turn as it is stored.
        """
        if view is None:
            return
        weight = view.weight
        if outcome.state == "complete" and outcome.usage is not None and outcome.message is not None:
            self._estimates.learn(target.provider.id, target.model, weight, outcome.usage, tenant=principal.tenant)
            weight += weigh_message(outcome.message)
        session_id = finished.session.id
        due = self._policy.due(target, view.template, finished.unsummarized, weight, principal.tenant)
        if (view.started.whole and not due) or self._backoff.holds(session_id):
            return
        # Without the caller's own key: that serves the caller's request only, and the request is over.
        answered = Selection(provider=target.provider.id, model=target.model, fallbacks=())
        self._schedule(
            _Job(principal=principal, session_id=session_id, reader=target, answered=answered, template=view.template)
        )

    async def force(
        self, principal: Principal, session_id: str, wanted: Selection | None, keep: int
    ) -> StoredSummary | None:
        """Make a summary now.

        Args:
            principal: Whose session it is.
            session_id: The session.
            wanted: Who is to make it; None leaves it to the configuration, or to who answered last.
            keep: How many of the newest messages stay as they are; the last turn always does.

        Returns:
            The entry of the ledger; None where there is nothing to summarise.

        Raises:
            NotFound: No such session.
            SessionBusy: A turn is under way.
            Conflict: Another summary is being made.
            GatewayError: The summary could not be made.
        """
        context = await self._store.context(principal.tenant, session_id)
        if context.messages and context.messages[-1].turn_state == "pending":
            raise SessionBusy("A turn of this session is under way: wait for its answer.", retry_after=1.0)
        if session_id in self._running:
            raise _under_way()
        if not context.messages:
            return None
        last = next((stored for stored in reversed(context.messages) if stored.provider is not None), None)
        answered = (
            Selection(provider=last.provider, model=last.model, fallbacks=()) if last else Selection(fallbacks=())
        )
        target, _ = self._summarizer.choose(principal, wanted, answered)
        outcome = await asyncio.shield(
            self._schedule(
                _Job(
                    principal=principal,
                    session_id=session_id,
                    reader=target,
                    answered=answered,
                    wanted=wanted,
                    keep=keep,
                )
            )
        )
        if outcome.busy:
            raise _under_way()
        if outcome.error is not None:
            raise outcome.error
        return await self._store.newest_summary(principal.tenant, session_id) if outcome.made else None

    async def close(self) -> None:
        """Cancel what is under way; the next turn makes it up."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _patience(self, request: ChatRequest) -> float:
        """Return the seconds that a turn waits for a summary: it still needs some to be answered."""
        return min(self._settings.summary_timeout, request.deadline.remaining() / 2)

    async def _again(self, principal: Principal, template: ChatRequest, view: View) -> View:
        """Return the view as it is now."""
        fresh = await self._store.context(principal.tenant, view.started.session.id)
        started = replace(
            view.started,
            summary=fresh.summary,
            messages=fresh.messages,
            weight=fresh.weight,
            whole=fresh.whole,
            first_with_summary=fresh.first_with_summary,
        )
        return View.of(template, started)

    def _schedule(self, job: _Job) -> asyncio.Task[_Outcome]:
        """Begin a summary, or return the one that is under way."""
        task = self._running.get(job.session_id)
        if task is None:
            task = asyncio.create_task(self._attempt(job), name=f"summary {job.session_id}")
            self._running[job.session_id] = task
            task.add_done_callback(lambda _: self._running.pop(job.session_id, None))
        return task

    async def _attempt(self, job: _Job) -> _Outcome:
        """Make a summary. Where that fails, the originals are all there, and the conversation goes on."""
        error: GatewayError
        begun = time.monotonic()
        try:
            # A summary may outlast the request whose key it was given.
            with ExitStack() as held:
                for selection in (job.answered, job.wanted):
                    if selection is not None and selection.credential is not None:
                        held.enter_context(REDACTOR.hold(selection.credential))
                return await self._parts(job)
        except TimeoutError:
            error = ProviderTimeout(
                "The summary was not there in time. Allow it more, or choose a faster model for it."
            )
        except GatewayError as caught:
            error = caught
        except Exception:
            log.exception("summary failed", session_id=job.session_id)
            error = InternalError("The summary could not be made.")
        log.warning("summary failed", session_id=job.session_id, error=error.code)
        self._metrics.observe_summary("failed", time.monotonic() - begun)
        if not isinstance(error, NotFound | StorageError | ProviderNotConfigured):
            self._backoff.failed(job.session_id)
        return _Outcome(error=error)

    async def _parts(self, job: _Job) -> _Outcome:
        """Make a summary; a very long conversation takes several, each of which is kept."""
        made = False
        while True:
            begun = time.monotonic()
            outcome = await self._leased(job)
            if outcome.made:
                made = True
                self._metrics.observe_summary("made", time.monotonic() - begun)
            if not outcome.more:
                return replace(outcome, made=made, busy=outcome.busy and not made)

    async def _leased(self, job: _Job) -> _Outcome:
        async with asyncio.timeout(self._settings.summary_timeout), self._lease(job) as leased:
            return await self._summarize(job) if leased else _Outcome(busy=True)

    @asynccontextmanager
    async def _lease(self, job: _Job) -> AsyncIterator[bool]:
        """Keep other processes from summarising the session at the same time."""
        name, seconds = f"summary/{job.session_id}", self._settings.summary_timeout + LEASE_GRACE
        leased = await self._store.lease(name, self._holder, seconds)
        while not leased and job.patient:
            await asyncio.sleep(_POLL)
            leased = await self._store.lease(name, self._holder, seconds)
        try:
            yield leased
        finally:
            if leased:
                try:
                    await self._store.release(name, self._holder)
                except StorageError as error:
                    log.warning("lease was not released", session_id=job.session_id, error=error.code)

    async def _summarize(self, job: _Job) -> _Outcome:
        tenant = job.principal.tenant
        context = await self._store.context(tenant, job.session_id, oldest=True)
        cut = self._policy.cut(job.reader, context.messages, job.keep, tenant=tenant, whole=context.whole)
        if cut == 0:
            return _Outcome()
        if job.template is not None:
            view = View.of(job.template, context)
            due = self._policy.due(job.reader, job.template, len(context.messages), view.weight, tenant)
            # Another process may have done it meanwhile.
            if (context.whole and not due) or not self._policy.worth(job.reader, view, cut, tenant):
                return _Outcome()
        begun = time.monotonic()
        chosen = self._summarizer.choose(job.principal, job.wanted, job.answered)
        summary = await self._summarizer.condense(job.principal, chosen, job.reader, context, cut)
        stored = False
        try:
            stored = await self._store.add_summary(tenant, job.session_id, summary)
        except asyncio.CancelledError:
            stored = True  # the store goes on with what it has begun, and then counts it itself
            raise
        finally:
            if not stored:
                self._summarizer.in_vain(job.principal, context, summary)
        self._backoff.forget(job.session_id)
        log.info(
            "session summarised",
            session_id=job.session_id,
            provider=summary.provider,
            model=summary.model,
            tokens_before=summary.tokens_before,
            tokens_after=summary.tokens_after,
            seconds=round(time.monotonic() - begun, 3),
            stored=stored,
        )
        return _Outcome(made=stored, more=stored and not context.whole, busy=not stored)


def _under_way() -> Conflict:
    return Conflict("A summary of this session is being made: ask again when it is there.", retry_after=1.0)

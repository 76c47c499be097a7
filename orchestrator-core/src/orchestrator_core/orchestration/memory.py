"""Keeps conversations short: condenses what is old, off the caller's path, and never touches the originals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from orchestrator_core.config import Settings
from orchestrator_core.orchestration.answer import Answer
from orchestrator_core.orchestration.context import cut_for_summary
from orchestrator_core.orchestration.requests import Selection
from orchestrator_core.orchestration.routing import Router, Target
from orchestrator_core.provider_api import (
    ChatRequest,
    ChatResponse,
    GatewayError,
    Message,
    ProviderBadResponse,
    Secret,
    SummarizeRequest,
    Summary,
)
from orchestrator_core.security.principal import Principal
from orchestrator_core.sessions.models import NewSummary, StartedTurn
from orchestrator_core.sessions.store import SessionStore
from orchestrator_core.telemetry.cost import Prices

OpenChat = Callable[[Principal, Selection, ChatRequest], Awaitable[Answer]]

log = structlog.get_logger(__name__)


class Memory:
    """Summarises sessions: one summary at a time for each."""

    def __init__(self, settings: Settings, router: Router, store: SessionStore, chat: OpenChat, prices: Prices) -> None:
        """Make a memory.

        Args:
            settings: The thresholds, and who summarises.
            router: Finds the provider that summarises.
            store: Where summaries are kept.
            chat: Opens a metered call.
            prices: What is known about prices.
        """
        self._settings = settings
        self._router = router
        self._store = store
        self._chat = chat
        self._prices = prices
        self._running: dict[str, asyncio.Task[None]] = {}

    def due(self, unsummarized: int) -> bool:
        """Whether so many messages without a summary call for one."""
        return unsummarized > self._settings.session_summarization_threshold

    def overdue(self, unsummarized: int) -> bool:
        """Whether a turn should wait for the summary."""
        return unsummarized > 2 * self._settings.session_summarization_threshold

    def schedule(self, principal: Principal, session_id: str, selection: Selection) -> asyncio.Task[None]:
        """Begin a summary in the background, or return the one that is under way.

        Args:
            principal: Whose session it is.
            session_id: The session.
            selection: Who answered it, and with which key; it summarises unless another is configured.
        """
        task = self._running.get(session_id)
        if task is None:
            task = asyncio.create_task(self._attempt(principal, session_id, selection), name=f"summary {session_id}")
            self._running[session_id] = task
            task.add_done_callback(lambda _: self._running.pop(session_id, None))
        return task

    async def wait(self, principal: Principal, session_id: str, selection: Selection, limit: float) -> None:
        """Wait for the summary of a session, at most `limit` seconds; without it the conversation goes on."""
        task = self.schedule(principal, session_id, selection)
        await asyncio.wait([task], timeout=min(limit, self._settings.summary_timeout))

    async def close(self) -> None:
        """Cancel what is under way; the next turn makes it up."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _attempt(self, principal: Principal, session_id: str, selection: Selection) -> None:
        try:
            async with asyncio.timeout(self._settings.summary_timeout):
                await self._summarize(principal, session_id, selection)
        except (GatewayError, TimeoutError) as error:
            # The originals are all there: the conversation goes on without the summary.
            log.warning("summary failed", session_id=session_id, error=getattr(error, "code", "timeout"))

    async def _summarize(self, principal: Principal, session_id: str, selection: Selection) -> None:
        context = await self._store.context(principal.tenant, session_id)
        cut = cut_for_summary(context.messages, keep=self._settings.session_summarization_threshold // 2)
        if cut == 0:
            return
        target, credential = self._summarizer(principal, selection)
        messages = [stored.message for stored in context.messages[:cut]]
        summary = await self._ask(principal, target, credential, messages, context)
        if not summary.text.strip() or len(summary.text) >= _length(messages, context):
            raise ProviderBadResponse("The summary is empty or longer than what it replaces.")
        provider, model, usage = target.provider, summary.model or target.model, summary.usage
        cost = self._prices.price(provider.id, provider.info, model, usage) if usage else None
        await self._store.add_summary(
            principal.tenant,
            session_id,
            NewSummary(
                text=summary.text.strip(),
                upto_sequence=context.messages[cut - 1].sequence,
                replaces=context.summary.id if context.summary else None,
                provider=provider.id,
                model=model,
                usage=usage,
                cost=cost.usd if cost else None,
            ),
        )

    def _summarizer(self, principal: Principal, selection: Selection) -> tuple[Target, Secret | None]:
        """Return who summarises, and the caller's key where it is that provider's."""
        if self._settings.summary_provider is None:
            wanted = selection
        else:
            wanted = Selection(provider=self._settings.summary_provider, model=self._settings.summary_model)
        return self._router.targets(principal, wanted, "chat")[0], wanted.credential

    async def _ask(
        self,
        principal: Principal,
        target: Target,
        credential: Secret | None,
        messages: Sequence[Message],
        context: StartedTurn,
    ) -> Summary:
        deadline = self._settings.deadline(self._settings.summary_timeout)
        selection = Selection(provider=target.provider.id, model=target.model, fallbacks=(), credential=credential)

        async def chat(messages: Sequence[Message], *, max_tokens: int | None = None) -> ChatResponse:
            request = ChatRequest(model=target.model, messages=messages, deadline=deadline, max_tokens=max_tokens)
            return await (await self._chat(principal, selection, request)).response()

        previous = context.summary.text if context.summary else None
        return await target.provider.summarize(
            SummarizeRequest(messages=messages, chat=chat, deadline=deadline, previous=previous)
        )


def _length(messages: Sequence[Message], context: StartedTurn) -> int:
    """Return the characters that a summary would replace."""
    before = len(context.summary.text) if context.summary else 0
    return before + sum(len(part.model_dump_json()) for message in messages for part in message.parts)

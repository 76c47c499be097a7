"""Has a part of a conversation condensed, in as many steps as the model that does it needs."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

import structlog

from orchestrator_core.config import Settings
from orchestrator_core.orchestration.answer import Answer
from orchestrator_core.orchestration.context import cut_for_summary
from orchestrator_core.orchestration.estimate import TokenEstimates, weigh_request
from orchestrator_core.orchestration.ledger import Ledger, Payer
from orchestrator_core.orchestration.policy import SummaryPolicy
from orchestrator_core.orchestration.requests import Selection
from orchestrator_core.orchestration.routing import Router, Target
from orchestrator_core.plugins.defaults import SUMMARY_TOKENS, transcript
from orchestrator_core.provider_api import (
    ChatRequest,
    ChatResponse,
    ContentBlocked,
    ContextTooLong,
    Deadline,
    GatewayError,
    Message,
    ProviderBadResponse,
    RefusalPart,
    Secret,
    SummarizeRequest,
    TextPart,
    Usage,
)
from orchestrator_core.security.principal import Principal
from orchestrator_core.sessions.models import NewSummary, StartedTurn, StoredMessage
from orchestrator_core.sessions.weights import MESSAGE, Weight, weigh, weigh_message, weigh_text

OpenCall = Callable[[Payer, Target, Secret | None, ChatRequest], Awaitable[Answer]]

_INSTRUCTION = 300.0
_SMALLEST = 64.0
_REFUSALS = 4
_STEPS = 64
_LONGER = 4

log = structlog.get_logger(__name__)


class Summarizer:
    """Makes summaries, and says what they cost."""

    def __init__(
        self,
        settings: Settings,
        router: Router,
        policy: SummaryPolicy,
        estimates: TokenEstimates,
        open_call: OpenCall,
        ledger: Ledger,
    ) -> None:
        """Make a summarizer.

        Args:
            settings: Who summarises.
            router: Finds who that is.
            policy: Knows the models' windows.
            estimates: Knows how models count.
            open_call: Opens a metered call.
            ledger: Takes what summaries used that came to nothing.
        """
        self._settings = settings
        self._router = router
        self._policy = policy
        self._estimates = estimates
        self._open = open_call
        self._ledger = ledger

    def choose(
        self, principal: Principal, wanted: Selection | None, answered: Selection
    ) -> tuple[Target, Secret | None]:
        """Return who summarises, and the caller's own key for it.

        Args:
            principal: Whose conversation it is. What it may not use, its conversation is not sent to.
            wanted: Who was asked to do it, if anybody was.
            answered: Who does it where nobody is configured, or the configured one cannot.

        Raises:
            GatewayError: There is none.
        """
        if wanted is not None:
            return self._router.targets(principal, wanted, "chat")[0], wanted.credential
        try:
            configured = self._configured()
            if configured is not None:
                target = self._router.targets(principal, configured, "chat")[0]
                if target.provider.configured:
                    return target, None
        except GatewayError as error:
            log.warning("configured summarizer cannot be used", error=error.code, reason=error.message)
        return self._router.targets(principal, replace(answered, fallbacks=()), "chat")[0], answered.credential

    async def condense(
        self, principal: Principal, chosen: tuple[Target, Secret | None], reader: Target, context: StartedTurn, cut: int
    ) -> NewSummary:
        """Have the first `cut` messages of a context condensed, or as many of the oldest as 64 steps take.

        Args:
            principal: Whose conversation it is.
            chosen: Who does it.
            reader: Who is to go on with the conversation.
            context: The conversation.
            cut: How many messages.

        Raises:
            ProviderBadResponse: The summary is empty, or no shorter than what it stands for.
            ContextTooLong: It would take too many steps.
            GatewayError: It could not be made.
        """
        begun = time.monotonic()
        target, credential = chosen
        payer = _payer(principal, context)
        deadline = self._settings.deadline(self._settings.summary_timeout)
        meter = _Meter(self._open, self._estimates, payer, target, credential, deadline)
        limit = self._limit(target, reader, principal.tenant)
        size = self._size(target, limit or SUMMARY_TOKENS, principal.tenant)
        if size is not None:
            cut = affordable(context.messages[:cut], size * _STEPS / 2)
        try:
            text, before, after = await self._text(meter, context, cut, limit)
        except BaseException:
            if meter.used:
                self._ledger.add(
                    payer, target.provider.id, meter.answered, meter.usage, meter.cost, time.monotonic() - begun
                )
            raise
        return NewSummary(
            text=text,
            upto_sequence=context.messages[cut - 1].sequence,
            replaces=context.summary.id if context.summary else None,
            provider=target.provider.id,
            model=meter.answered,
            usage=meter.usage,
            cost=meter.cost,
            duration=time.monotonic() - begun,
            tokens_before=self._estimates.tokens(target.provider.id, target.model, before),
            tokens_after=self._estimates.tokens(target.provider.id, target.model, after),
            client=principal.id,
        )

    def in_vain(self, principal: Principal, context: StartedTurn, summary: NewSummary) -> None:
        """Count what a summary used that was not stored."""
        self._ledger.add(
            _payer(principal, context),
            summary.provider or "",
            summary.model or "",
            summary.usage,
            summary.cost,
            summary.duration,
        )

    def _limit(self, target: Target, reader: Target, tenant: str) -> int | None:
        """Return the tokens that a summary may have; None leaves it to the plugin."""
        windows = [self._policy.window(target, tenant), self._policy.window(reader, tenant)]
        known = [window for window in windows if window is not None]
        return max(128, min(SUMMARY_TOKENS, min(known) // 8)) if known else None

    async def _text(
        self, meter: _Meter, context: StartedTurn, cut: int, limit: int | None
    ) -> tuple[str, Weight, Weight]:
        """Return a summary, what the messages that it stands for weigh, and what it weighs itself."""
        messages = [stored.message for stored in context.messages[:cut]]
        previous = context.summary.text if context.summary else None
        text = await self._fold(meter, messages, previous, limit)
        before = weigh(messages) + Weight(weigh_text(previous or ""))
        after = Weight(weigh_text(text))
        if not text or after.total >= before.total:
            raise ProviderBadResponse("The summary is empty or no shorter than what it stands for: it is not used.")
        return text, before, after

    def _configured(self) -> Selection | None:
        provider, model = self._settings.summary_provider, self._settings.summary_model
        if provider is not None:
            return Selection(provider=provider, model=model, fallbacks=())
        return None if model is None else replace(self._router.select(model), fallbacks=())

    async def _fold(self, meter: _Meter, messages: Sequence[Message], previous: str | None, limit: int | None) -> str:
        """Condense step by step; each is told the summary of those before it."""
        rest, tenant = list(messages), meter.tenant
        steps = refusals = 0
        most = math.inf
        while rest:
            # Anew each time: a step that was answered may have shown that the window is larger than was thought.
            size = self._size(meter.target, limit or SUMMARY_TOKENS, tenant)
            if most < (size or math.inf):
                size = most
            step, left = next_step(rest, size)
            steps += 1
            if steps > _STEPS:
                raise _too_many(meter.target.provider.id)
            try:
                previous = await self._ask(meter, step, previous, limit)
            except ContextTooLong:
                refusals += 1
                weight = weigh(step)
                if refusals > _REFUSALS or weight.total <= _SMALLEST:
                    raise
                window = self._policy.window(meter.target, tenant)
                room = None if window is None else window - (limit or SUMMARY_TOKENS)
                known = self._policy.known_window(meter.target)
                self._estimates.learn_refusal(
                    meter.target.provider.id, meter.target.model, weight, room, known, tenant=tenant
                )
                most = weight.total / 2
                continue
            rest = left
        return previous or ""

    async def _ask(self, meter: _Meter, step: Sequence[Message], previous: str | None, limit: int | None) -> str:
        summary = await meter.target.provider.summarize(
            SummarizeRequest(
                messages=step, chat=meter.chat, deadline=meter.deadline, previous=previous, max_tokens=limit
            )
        )
        meter.note(summary.model, summary.usage)
        return summary.text.strip()

    def _size(self, target: Target, answer: int, tenant: str) -> float | None:
        """Return what a step may weigh; None where the window is not known."""
        window = self._policy.window(target, tenant)
        if window is None:
            return None
        tokens = self._settings.summary_window_share * window - 2 * answer - _INSTRUCTION
        return max(_SMALLEST, self._estimates.weight(target.provider.id, target.model, tokens))


class _Meter:
    """The calls of one summary: what they used and cost together."""

    def __init__(
        self,
        open_call: OpenCall,
        estimates: TokenEstimates,
        payer: Payer,
        target: Target,
        credential: Secret | None,
        deadline: Deadline,
    ) -> None:
        self.target = target
        self.tenant = payer.principal.tenant
        self.deadline = deadline
        self.model: str | None = None
        self.usage: Usage | None = None
        self.cost: float | None = None
        self._open = open_call
        self._estimates = estimates
        self._payer = payer
        self._credential = credential
        self._asked = False
        self._answered = False

    @property
    def answered(self) -> str:
        """The model that wrote the summary, as far as that is known."""
        return self.model or self.target.model

    @property
    def used(self) -> bool:
        """Whether anything was used that is not counted yet: a try that nobody answered is."""
        return self._answered or self.usage is not None

    async def chat(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> ChatResponse:
        """Ask the model; see `SummaryChat`."""
        response = await self._call(messages, max_tokens)
        choice = response.choices[0]
        if max_tokens is not None and choice.finish_reason == "length":
            # Cut off, it lacks what came last; a model that thinks spends the tokens of its answer on that.
            response = await self._call(messages, max_tokens * _LONGER)
            choice = response.choices[0]
        refused = any(isinstance(part, RefusalPart) for part in choice.message.parts)
        if refused or choice.finish_reason == "content_filter":
            raise ContentBlocked(
                "The provider refused to summarise the conversation.", provider=self.target.provider.id
            )
        if choice.finish_reason == "length":
            raise ProviderBadResponse("The summary was cut off: it is not used.", provider=self.target.provider.id)
        return response

    def note(self, model: str | None, usage: Usage | None) -> None:
        """Take what a plugin says of a summary that it made in its own way."""
        self.model = model or self.model
        if not self._asked and usage is not None:
            self.usage = usage if self.usage is None else self.usage + usage

    async def _call(self, messages: Sequence[Message], max_tokens: int | None) -> ChatResponse:
        self._asked = True
        target = self.target
        request = ChatRequest(model=target.model, messages=messages, deadline=self.deadline, max_tokens=max_tokens)
        answer = await self._open(self._payer, target, self._credential, request)
        self._answered = True
        try:
            response = await answer.response()
        finally:
            if answer.usage is not None:
                self.usage = answer.usage if self.usage is None else self.usage + answer.usage
                weight = weigh_request(request)
                self._estimates.learn(target.provider.id, target.model, weight, answer.usage, tenant=self.tenant)
            if answer.cost is not None:
                self.cost = (self.cost or 0.0) + answer.cost
        return response


def _payer(principal: Principal, context: StartedTurn) -> Payer:
    return Payer(principal, "summarize", context.session.user_id or "", context.session.id)


def _too_many(provider: str | None = None) -> ContextTooLong:
    return ContextTooLong(
        f"The conversation takes more than {_STEPS} steps to condense. Set ORCHESTRATOR_SUMMARY_MODEL to a model with "
        "a larger context window.",
        provider=provider,
    )


def affordable(messages: Sequence[StoredMessage], room: float) -> int:
    """Return how many of the oldest messages to condense, so that they weigh no more than there is room for.

    Raises:
        ContextTooLong: Those that belong together at the beginning weigh more.
    """
    total = 0.0
    for place, stored in enumerate(messages):
        total += weigh_message(stored.message).total
        if total > room:
            cut = cut_for_summary(messages[: place + 1], keep=0, room=None)
            if not cut:
                raise _too_many()
            return cut
    return len(messages)


def next_step(messages: Sequence[Message], size: float | None) -> tuple[list[Message], list[Message]]:
    """Return the messages that are condensed next, at least a part of one, and what is left.

    Args:
        messages: What is to be condensed, oldest first.
        size: What a step may weigh; None is anything.
    """
    if size is None:
        return list(messages), []
    total = 0.0
    for place, message in enumerate(messages):
        total += weigh_message(message).total
        if total > size:
            if place:
                return list(messages[:place]), list(messages[place:])
            pieces = list(_pieces(message, size))
            return pieces[:1], [*pieces[1:], *messages[1:]]
    return list(messages), []


def _pieces(message: Message, size: float) -> Iterator[Message]:
    """Yield a message that is too large for a step as several."""
    text = transcript([message])
    length, start = max(len(text), 1), 0
    while start < len(text) or not start:
        piece = text[start : start + length]
        if length > 1 and weigh_text(piece) + MESSAGE > size:
            length = length * 2 // 3
            continue
        yield Message(role=message.role, parts=(TextPart(text=piece),))
        start += length

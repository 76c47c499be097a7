"""When a conversation is condensed, and how much of it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_core.config import Settings
from orchestrator_core.orchestration.context import View, cut_for_summary
from orchestrator_core.orchestration.estimate import TokenEstimates
from orchestrator_core.orchestration.routing import Target
from orchestrator_core.provider_api import ChatRequest
from orchestrator_core.sessions.models import CONTEXT_MESSAGES, StoredMessage
from orchestrator_core.sessions.weights import Weight, weigh
from orchestrator_core.telemetry.cost import Prices

WORTH = 0.125
"""The least that a summary should save, as a share of the tokens above which it is due."""

USUAL_ANSWER = 4096
"""Tokens of an answer where nobody limits it."""


class SummaryPolicy:
    """Decides by the number of messages, and by tokens where the model's context window is known."""

    def __init__(self, settings: Settings, estimates: TokenEstimates, prices: Prices) -> None:
        """Decide by an operator's settings.

        Args:
            settings: The thresholds.
            estimates: What is known of the models' counting.
            prices: The tables of prices, which know windows too.
        """
        # A turn that sees no more than that many messages must not wait for more of them to come together.
        self._threshold = min(settings.session_summarization_threshold, CONTEXT_MESSAGES // 2)
        self._share = settings.summary_window_share
        self._estimates = estimates
        self._prices = prices

    def window(self, target: Target, tenant: str) -> int | None:
        """Return the tokens that a model takes, input and output together; None where that is not known.

        What the tenant was lately refused counts above all.
        """
        known = self.known_window(target)
        refused = self._estimates.refused(target.provider.id, target.model, tenant=tenant)
        if known is None or refused is None:
            return known if refused is None else refused
        return min(known, refused)

    def known_window(self, target: Target) -> int | None:
        """Return the same as it is known: the plugin knows, or the provider's list says, or the tables of prices do."""
        for model in target.provider.known(target.model):
            if model.context_window:
                return model.context_window
        return self._prices.window(target.provider.info, target.model)

    def asked(self, target: Target, request: ChatRequest) -> int | None:
        """Return the tokens that an answer may have, as they are sent; None where none are."""
        return request.max_tokens or target.provider.settings.default_max_tokens

    def room(self, target: Target, request: ChatRequest, tenant: str) -> int | None:
        """Return the tokens that a call's input has room for, beside its answer; None where that is not known."""
        window = self.window(target, tenant)
        return None if window is None else self._beside_answer(window, target, request)

    def _beside_answer(self, window: int, target: Target, request: ChatRequest) -> int:
        asked = self.asked(target, request)
        if asked is not None:
            return window - min(asked, window // 2)
        known = (model.max_output_tokens for model in target.provider.known(target.model))
        return window - min(next(filter(None, known), USUAL_ANSWER), window // 4)

    def due(self, target: Target, request: ChatRequest, messages: int, weight: Weight, tenant: str) -> bool:
        """Whether a conversation calls for a summary.

        Args:
            target: Who is to go on with it.
            request: The call.
            messages: How many no summary covers.
            weight: What the call weighs.
            tenant: Whose conversation it is.
        """
        if messages > self._threshold:
            return True
        window = self.window(target, tenant)
        if window is None:
            return False
        room = self._beside_answer(window, target, request)
        return self._tokens(target, weight) > min(room, self._share * window or room)

    def overdue(self, target: Target, view: View, tenant: str) -> bool:
        """Whether a turn should wait for the summary."""
        if not view.started.whole or len(view.started.messages) > 2 * self._threshold:
            return True
        room = self.room(target, view.request, tenant)
        return room is not None and self._tokens(target, view.weight) > room

    def worth(self, target: Target, view: View, cut: int, tenant: str) -> bool:
        """Whether a summary that is due is worth its price.

        Where prompts and tools alone take most of the tokens, a summary would be due after every turn: then it waits
        until more has come together, or nothing fits any more.

        Args:
            target: Who is to go on with the conversation.
            view: What it would be shown now.
            cut: How many messages would be condensed.
            tenant: Whose conversation it is.
        """
        messages = view.started.messages
        budget = self._budget(target, tenant)
        if budget is None or len(messages) > self._threshold or self.overdue(target, view, tenant):
            return True
        saved = weigh(stored.message for stored in messages[:cut])
        return self._tokens(target, saved) >= budget * WORTH

    def cut(
        self,
        target: Target,
        messages: Sequence[StoredMessage],
        keep: int | None = None,
        *,
        tenant: str,
        whole: bool = True,
    ) -> int:
        """Return how many of the oldest messages to summarise.

        Args:
            target: Who is to go on with the conversation.
            messages: What no summary covers, oldest first.
            keep: How many of the newest should stay; None is half of the threshold, and what fits into half of the
                tokens above which a summary is due.
            tenant: Whose conversation it is.
            whole: Whether that is all; where more follows, half of these at most stay.
        """
        room, budget = None, self._budget(target, tenant)
        if keep is None:
            keep = self._threshold // 2
            if budget is not None:
                room = self._estimates.weight(target.provider.id, target.model, budget / 2)
        return cut_for_summary(messages, keep=keep if whole else min(keep, len(messages) // 2), room=room)

    def _tokens(self, target: Target, weight: Weight) -> int:
        return self._estimates.tokens(target.provider.id, target.model, weight)

    def _budget(self, target: Target, tenant: str) -> float | None:
        window = self.window(target, tenant)
        return None if window is None else self._share * window

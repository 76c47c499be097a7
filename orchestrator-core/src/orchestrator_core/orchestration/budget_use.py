"""How much of their budgets clients have used: shown as a metric, and told once where little is left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestrator_core.config.grants import Budget
from orchestrator_core.resilience.budgets import NANO, AccountKey, Amount, Ceiling
from orchestrator_core.security.events import SecurityEvent, SecurityEvents
from orchestrator_core.telemetry.metrics import Metrics

NEARLY: Final = 0.8
"""The share of a budget that an event tells of."""

SHOWN_FOR: Final = timedelta(days=1)
"""For how long the metric shows a client that makes no more calls: its budget, or the client, may be gone."""

MAX_CLIENTS: Final = 20_000
"""Clients that are remembered. Above it the one that is known longest is forgotten, and may be told of again."""


def ceiling_of(budget: Budget) -> Ceiling:
    """Return what a budget lets a client spend in one period."""
    return Ceiling(budget.tokens, None if budget.usd is None else round(budget.usd * NANO))


@dataclass(slots=True)
class _Use:
    key: AccountKey
    budget: Budget
    spent: Amount
    until: datetime
    shown: bool = True
    told: float = 0.0

    @property
    def share(self) -> float:
        money, tokens = self.budget.usd, self.budget.tokens
        return max(
            self.spent.nanos / NANO / money if money else 0.0,
            self.spent.tokens / tokens if tokens else 0.0,
        )


class BudgetUse:
    """What is known of the budgets of clients that made calls. Used on one event loop only."""

    def __init__(self, events: SecurityEvents, metrics: Metrics) -> None:
        """Know no client yet.

        Args:
            events: Where it is told that a budget is nearly, or wholly, spent.
            metrics: Where its share is shown.
        """
        self._events = events
        self._metrics = metrics
        self._uses: dict[tuple[str, str], _Use] = {}

    def note(
        self, key: AccountKey, budget: Budget, spent: Amount, least: Amount, now: datetime, ends_at: datetime | None
    ) -> None:
        """Note what is spent as a call begins, and tell once for each period where little is left.

        What calls under way hold is no part of it: they may give it back. Nor is it told of a call that is too large
        for what is left of a budget of which much is left.

        Args:
            key: The account.
            budget: The budget.
            spent: What is spent of it.
            least: What the call needs.
            now: The time, UTC.
            ends_at: When the period ends, UTC; None where it never does.
        """
        whose = key.tenant, key.client
        until = now + SHOWN_FOR
        if ends_at is not None:
            until = min(until, ends_at)
        use = self._uses.get(whose)
        if use is None or use.key != key or use.budget != budget:
            if use is None and len(self._uses) >= MAX_CLIENTS:
                self._show(self._uses.pop(next(iter(self._uses))), None)
            use = self._uses[whose] = _Use(key, budget, spent, until)
        else:
            use.spent, use.until = spent, until
        share = use.share
        self._show(use, share)
        if share >= NEARLY:
            level = NEARLY if ceiling_of(budget).left(spent).covers(least) else 1.0
            if level > use.told:
                use.told = level
                event: SecurityEvent = "budget_nearly_spent" if level == NEARLY else "budget_exceeded"
                self._events.report(event, principal=key.client, period=key.period, used=round(share, 3))

    def add(self, key: AccountKey, amount: Amount) -> None:
        """Add what a call has spent that was noted as it began."""
        use = self._uses.get((key.tenant, key.client))
        if use is not None and use.key == key:
            use.spent += amount
            self._show(use, use.share)

    def hide(self, now: datetime) -> None:
        """Show no more of the clients whose period is over, or that made no call for `SHOWN_FOR`."""
        for use in self._uses.values():
            if use.shown and use.until <= now:
                self._show(use, None)

    def _show(self, use: _Use, share: float | None) -> None:
        use.shown = share is not None
        self._metrics.observe_budget(use.key.client, share)

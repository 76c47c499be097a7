"""The share of a client's budget that is used, as metrics show it. What is told of it is tested with the gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from orchestrator_core.config.grants import Budget
from orchestrator_core.orchestration import budget_use
from orchestrator_core.orchestration.budget_use import SHOWN_FOR, BudgetUse
from orchestrator_core.resilience.budgets import NANO, AccountKey, Amount
from orchestrator_core.security.events import SecurityEvents
from orchestrator_core.telemetry.budget_series import MAX_BUDGETS
from orchestrator_core.telemetry.instruments import BUDGET_USED
from orchestrator_core.telemetry.metrics import Metrics

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
NOVEMBER = AccountKey("acme", "app", "2026-11", NOW.date().replace(day=1))
BUDGET = Budget(usd=10.0, tokens=1000)


class Watched:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.use = BudgetUse(SecurityEvents(self.metrics), self.metrics)

    def note(self, key: AccountKey, spent: Amount, now: datetime = NOW, ends: datetime | None = DECEMBER) -> None:
        self.use.note(key, BUDGET, spent, Amount(), now, ends)

    @property
    def shown(self) -> dict[str, float]:
        return {
            sample.labels["client"]: sample.value
            for family in parse(self.metrics.render()[0].decode())
            for sample in family.samples
            if sample.name == BUDGET_USED.name
        }


@pytest.mark.parametrize(("tokens", "dollars", "share"), [(0, 0, 0.0), (250, 2, 0.25), (250, 5, 0.5), (100, 12, 1.2)])
def test_the_share_is_of_what_is_used_more_of(tokens: int, dollars: int, share: float) -> None:
    watched = Watched()
    watched.note(NOVEMBER, Amount(tokens, dollars * NANO))
    assert watched.shown == {"app": share}


def test_a_call_counts_as_it_ends_and_not_for_another_period() -> None:
    watched = Watched()
    watched.note(NOVEMBER, Amount(tokens=100))
    watched.use.add(NOVEMBER, Amount(tokens=200))
    assert watched.shown == {"app": 0.3}
    december = AccountKey("acme", "app", "2026-12", DECEMBER.date())
    watched.note(december, Amount(), DECEMBER, None)
    watched.use.add(NOVEMBER, Amount(tokens=500))
    assert watched.shown == {"app": 0.0}


def test_what_is_over_is_shown_no_more() -> None:
    watched = Watched()
    late = DECEMBER - timedelta(hours=1)
    watched.note(NOVEMBER, Amount(tokens=900), late)
    watched.use.hide(DECEMBER - timedelta(seconds=1))
    assert watched.shown == {"app": 0.9}
    watched.use.hide(DECEMBER)
    assert watched.shown == {}


def test_a_client_that_makes_no_more_calls_is_shown_no_more() -> None:
    watched = Watched()
    for key in (NOVEMBER, AccountKey("acme", "other", "total", None)):
        watched.note(key, Amount(tokens=900), NOW, None)
    watched.note(NOVEMBER, Amount(tokens=950), NOW + timedelta(hours=1), None)
    watched.use.hide(NOW + SHOWN_FOR)
    assert watched.shown == {"app": 0.95}
    watched.note(AccountKey("acme", "other", "total", None), Amount(tokens=900), NOW + SHOWN_FOR, None)
    assert watched.shown["other"] == 0.9


def test_the_clients_that_are_shown_are_bounded() -> None:
    watched = Watched()
    for number in range(MAX_BUDGETS + 10):
        watched.note(AccountKey("acme", f"app-{number}", "total", None), Amount(tokens=number), NOW, None)
    assert len(watched.shown) == MAX_BUDGETS


def test_a_client_that_is_shown_no_more_gives_its_place_to_another() -> None:
    watched = Watched()
    for round_ in range(12):
        now = NOW + round_ * SHOWN_FOR
        watched.use.hide(now)
        for number in range(MAX_BUDGETS):
            watched.note(AccountKey("acme", f"app-{round_}-{number}", "total", None), Amount(tokens=1), now, None)
        assert set(watched.shown) == {f"app-{round_}-{number}" for number in range(MAX_BUDGETS)}


def test_a_client_that_is_forgotten_gives_its_place_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_use, "MAX_CLIENTS", MAX_BUDGETS)
    watched = Watched()
    for number in range(MAX_BUDGETS + 10):
        watched.note(AccountKey("acme", f"app-{number}", "total", None), Amount(tokens=number), NOW, None)
    assert set(watched.shown) == {f"app-{number}" for number in range(10, MAX_BUDGETS + 10)}

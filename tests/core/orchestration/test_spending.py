"""Periods of budgets, and calls that end in another one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.config.grants import Budget, Grant, Period
from orchestrator_core.orchestration.budget_use import BudgetUse
from orchestrator_core.orchestration.pipeline import Call
from orchestrator_core.orchestration.routing import Target
from orchestrator_core.orchestration.spending import Span, Spending
from orchestrator_core.plugins import Provider
from orchestrator_core.provider_api import (
    BudgetExceeded,
    ChatRequest,
    Deadline,
    ProviderContext,
    ProviderSettings,
    UpstreamClient,
    Usage,
    text_message,
)
from orchestrator_core.resilience.budgets import AccountKey, Amount, LocalBudgets
from orchestrator_core.security.events import SecurityEvents
from orchestrator_core.security.principal import Principal
from orchestrator_core.telemetry.cost import Prices
from orchestrator_core.telemetry.metrics import Metrics


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "now", "name", "since", "ends"),
    [
        ("day", "2026-11-28T23:59:59", "2026-11-28", "2026-11-28", "2026-11-29T00:00:00"),
        ("day", "2026-12-31T12:00:00", "2026-12-31", "2026-12-31", "2027-01-01T00:00:00"),
        ("month", "2026-12-31T12:00:00", "2026-12", "2026-12-01", "2027-01-01T00:00:00"),
        ("month", "2028-02-29T00:00:00", "2028-02", "2028-02-01", "2028-03-01T00:00:00"),
        ("month", "2027-01-31T00:00:00", "2027-01", "2027-01-01", "2027-02-01T00:00:00"),
    ],
)
def test_periods_are_those_of_utc(period: Period, now: str, name: str, since: str, ends: str) -> None:
    assert Span.of(period, at(now)) == Span(name, date.fromisoformat(since), at(ends))


def test_a_budget_once_and_for_all_has_no_end() -> None:
    assert Span.of("total", at("2026-11-28T00:00:00")) == Span("total", None, None)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.sampled_from(["day", "month"])
)
def test_every_moment_is_in_one_period(now: datetime, period: Period) -> None:
    span = Span.of(period, now)
    assert span.since is not None
    assert span.ends_at is not None
    assert datetime(span.since.year, span.since.month, span.since.day, tzinfo=UTC) <= now < span.ends_at
    assert Span.of(period, span.ends_at - timedelta(microseconds=1)) == span
    assert Span.of(period, span.ends_at).since == span.ends_at.date()


async def test_a_call_counts_in_the_period_in_which_it_ends() -> None:
    now = at("2026-11-28T23:59:59")

    async def read(key: AccountKey) -> Amount:
        return Amount()

    metrics = Metrics()
    use = BudgetUse(SecurityEvents(metrics), metrics)
    spending = Spending(LocalBudgets(read, alone=True), Prices(), use, lambda: now)
    budget = Budget(tokens=100, period="day")
    caller = Principal(id="key", tenant="acme", grant=Grant(budget=budget))
    request = ChatRequest(model="", messages=(text_message("user", "hi"),), max_tokens=60, deadline=Deadline.after(60))

    plugin = ScriptedProvider(ProviderContext("one", ProviderSettings(), cast("UpstreamClient", None)))
    provider = Provider(plugin, ())

    def call() -> Call[ChatRequest]:
        return Call(request, [Target(provider, "a")], None, "acme")

    held = await spending.reserve(caller, budget, call())
    with pytest.raises(BudgetExceeded, match="under way"):
        await spending.reserve(caller, budget, call())
    now = at("2026-11-29T00:00:01")
    assert (await spending.state("acme", "key", budget))["spent_tokens"] == 0
    held.charge(Usage(input_tokens=5, output_tokens=10), None)
    held.end()
    held.end()
    assert (await spending.state("acme", "key", budget))["spent_tokens"] == 15
    now = at("2026-11-28T23:59:59")
    state = await spending.state("acme", "key", budget)
    assert (state["spent_tokens"], state["held_tokens"]) == (0, 0)

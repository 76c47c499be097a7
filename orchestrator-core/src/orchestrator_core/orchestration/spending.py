"""Budgets of clients: what a call may cost is held before it is made, and what it cost is counted as it ends."""

from __future__ import annotations

import math
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

from orchestrator_core.config.grants import Budget, Period
from orchestrator_core.orchestration.budget_use import BudgetUse, ceiling_of
from orchestrator_core.orchestration.call import Call
from orchestrator_core.orchestration.expected_usage import Expected, expected_usage
from orchestrator_core.orchestration.media import PICTURES, as_medium
from orchestrator_core.orchestration.routing import Target
from orchestrator_core.provider_api import (
    BudgetExceeded,
    ChatRequest,
    EmbeddingRequest,
    PermissionDenied,
    Usage,
    UsageDetails,
)
from orchestrator_core.resilience.budgets import NANO, AccountKey, Amount, Ceiling, Standing, Wish
from orchestrator_core.security.principal import Principal
from orchestrator_core.sessions.bills import UsageFilter
from orchestrator_core.sessions.store import SessionStore
from orchestrator_core.telemetry.cost import Prices

SPARE: Final = 30.0
"""Seconds beyond its deadline for which a call's part is held, should it never be told that the call ended."""


class Book(Protocol):
    """Keeps accounts: `LocalBudgets`, `SharedBudgets`."""

    async def reserve(self, key: AccountKey, name: str, ceiling: Ceiling, wish: Wish) -> tuple[bool, Standing]:
        """Hold an amount for a call, if it is there, in place of what was held for it before."""
        ...

    def settle(self, key: AccountKey, name: str, amount: Amount) -> None:
        """Replace what is held for a call by what it cost."""
        ...

    async def standing(self, key: AccountKey) -> Standing:
        """Return how an account stands."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """A period of a budget.

    Attributes:
        name: Its name.
        since: Its first day, UTC; None where it has none.
        ends_at: When it begins anew, UTC; None where it never does.
    """

    name: str
    since: date | None
    ends_at: datetime | None

    @classmethod
    def of(cls, period: Period, now: datetime) -> Span:
        """Return the period of a time, UTC."""
        if period == "total":
            return cls("total", None, None)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if period == "day":
            return cls(midnight.date().isoformat(), midnight.date(), midnight + timedelta(days=1))
        first = midnight.replace(day=1)
        return cls(f"{first:%Y-%m}", first.date(), (first + timedelta(days=32)).replace(day=1))


class Held:
    """What is held for a call, until it ends.

    Attributes:
        unsaid: What a try used of which nobody said anything, as far as is known: what was sent, and the answer that
            was asked for, where its length is limited. What is charged is stored too, so that it is not forgotten.
        broken: What an answer used that broke off, where sound or pictures were asked for: the most that was expected,
            since nobody can tell by what came of them; None where it is text.
        usd: What is charged for a try whose price nobody knows: the most that was expected; None where money is not
            limited.
    """

    def __init__(
        self,
        key: AccountKey,
        reserve: Callable[[str, Wish, bool, Amount], Awaitable[None]],
        settle: Callable[[AccountKey, str, Amount], None],
        wish: Wish,
        expected: Expected,
        *,
        money: bool,
    ) -> None:
        """Choose a name; `take` holds.

        Args:
            key: The account.
            reserve: Holds under a name, in place of what is held under it; is told whether it is for another try, and
                what is charged already.
            settle: Counts what was spent.
            wish: What one try may cost.
            expected: What the call is expected to use.
            money: Whether money is limited.
        """
        self.usd = wish.most.nanos / NANO if money else None
        self.unsaid = _estimated(expected.ways(expected.least)[-1])
        self.broken = _estimated(expected.ways(expected.most)[-1]) if expected.media else None
        self.name = secrets.token_hex(8)
        self._key = key
        self._reserve = reserve
        self._settle = settle
        self._wish = wish
        self._tries = 0
        self._covered = self._spent = Amount()
        self._ended = False

    async def take(self, under_way: int = 0) -> None:
        """Hold what one more try may cost, beside those that are under way and what was charged for those that failed.

        Args:
            under_way: How many tries are under way.

        Raises:
            BudgetExceeded: It is not there; what is held stays.
            StorageError: Nobody knows what was spent so far.
        """
        tries, spent = under_way + 1, self._spent
        if tries <= self._tries and spent == self._covered:
            return
        wish = self._wish
        wish = replace(wish, least=wish.least * tries + spent, most=wish.most * tries + spent)
        await self._reserve(self.name, wish, self._tries > 0, spent)
        self._tries, self._covered = tries, spent

    def charge(self, usage: Usage, cost: float | None) -> None:
        """Count what a try used and cost."""
        self._spent += Amount(usage.total, math.ceil((cost or 0.0) * NANO))

    def end(self) -> None:
        """Give free what was not used. Does nothing the second time."""
        if not self._ended:
            self._ended = True
            self._settle(self._key, self.name, self._spent)


class Spending:
    """Holds, counts and tells what clients with a budget spend."""

    def __init__(
        self,
        book: Book,
        prices: Prices,
        use: BudgetUse,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Watch budgets.

        Args:
            book: Keeps the accounts.
            prices: What is known about prices.
            use: Shows and tells how much of them is used.
            now: The time, UTC.
        """
        self._book = book
        self._prices = prices
        self._use = use
        self._now = now

    async def reserve(
        self, principal: Principal, budget: Budget, call: Call[ChatRequest] | Call[EmbeddingRequest]
    ) -> Held:
        """Hold what a call may cost. Targets whose price is unknown are left out where money is limited.

        Args:
            principal: Who asks.
            budget: What they may spend.
            call: What is asked of whom.

        Raises:
            BudgetExceeded: It is not there.
            PermissionDenied: Money is limited, and nobody knows what the model costs.
            StorageError: Nobody knows what was spent so far.
        """
        expected = expected_usage(call.request)
        if budget.usd is not None:
            call.targets = self._priced(call.targets, expected)
        wish = Wish(
            least=self._amount(call.targets, expected.ways(expected.least), budget),
            most=self._amount(call.targets, expected.ways(expected.most), budget),
            seconds=call.deadline.remaining() + SPARE,
        )
        span = Span.of(budget.period, self._now())
        key = _key(principal.tenant, principal.id, span)
        held = Held(
            key,
            partial(self._reserve, key, budget, span),
            self._settled(principal, budget),
            wish,
            expected,
            money=budget.usd is not None,
        )
        await held.take()
        return held

    async def state(self, tenant: str, client_id: str, budget: Budget) -> dict[str, Any]:
        """Return a budget and what is left of it, as `budget_state` does.

        Raises:
            StorageError: Nobody knows what was spent.
        """
        span = Span.of(budget.period, self._now())
        return budget_state(budget, span, await self._book.standing(_key(tenant, client_id, span)))

    def hide(self) -> None:
        """Show no more of the budgets whose period is over, and of clients that are away."""
        self._use.hide(self._now())

    async def _reserve(
        self, key: AccountKey, budget: Budget, span: Span, name: str, wish: Wish, again: bool, charged: Amount
    ) -> None:
        fits, before = await self._book.reserve(key, name, ceiling_of(budget), wish)
        self._use.note(key, budget, before.spent, wish.least, self._now(), span.ends_at)
        if not fits:
            raise self._exceeded(budget, span, before, wish, charged, again=again)

    def _settled(self, principal: Principal, budget: Budget) -> Callable[[AccountKey, str, Amount], None]:
        def settle(key: AccountKey, name: str, amount: Amount) -> None:
            ended_in = _key(principal.tenant, principal.id, Span.of(budget.period, self._now()))
            if ended_in == key:
                self._book.settle(key, name, amount)
            else:  # usage counts on the day on which a call ends
                self._book.settle(key, name, Amount())
                self._book.settle(ended_in, name, amount)
            self._use.add(ended_in, amount)

        return settle

    def _priced(self, targets: Sequence[Target], expected: Expected) -> Sequence[Target]:
        probes: list[tuple[str, Usage | None]] = [("model", Usage(input_tokens=1))]
        if expected.least.details.input_audio_tokens:
            probes.append(("messages", Usage(input_tokens=1, details=UsageDetails(input_audio_tokens=1))))
        for count, place in expected.media.items():
            probes.append((place, None if count is None else as_medium(Usage(output_tokens=1), count)))

        def unknown(target: Target) -> str | None:
            prices = ((place, None if probe is None else self._price(target, probe)) for place, probe in probes)
            return next((place for place, price in prices if price is None), None)

        first = targets[0]
        missing = unknown(first)
        if missing is not None:
            what = "" if missing == "model" else f" for the sound or pictures of {missing!r}"
            raise PermissionDenied(
                f"The price of {first.name!r}{what} is unknown, and this credential has a budget in money. Ask the "
                "operator to set a price (ORCHESTRATOR_PRICES), or a budget of tokens.",
                param=missing,
            )
        return [target for target in targets if unknown(target) is None]

    def _amount(self, targets: Sequence[Target], ways: Sequence[Usage], budget: Budget) -> Amount:
        """Return what some usage comes to at the dearest of the targets, and of the ways to count it."""
        tokens = ways[0].total
        if budget.usd is None:
            return Amount(tokens)
        costs = [self._price(target, usage) or 0.0 for target in targets for usage in self._drawn(target, ways)]
        return Amount(tokens, math.ceil(max(costs) * NANO))

    def _drawn(self, target: Target, ways: Sequence[Usage]) -> Sequence[Usage]:
        """Add the way of pictures where a model may make some without being asked to."""
        return [*ways, as_medium(ways[0], PICTURES)] if self._prices.draws(target.provider.info, target.model) else ways

    def _price(self, target: Target, usage: Usage) -> float | None:
        found = self._prices.price(target.provider.id, target.provider.info, target.model, usage)
        return None if found is None else found.usd

    def _exceeded(
        self, budget: Budget, span: Span, before: Standing, wish: Wish, charged: Amount, *, again: bool
    ) -> BudgetExceeded:
        ceiling, spent = ceiling_of(budget), before.spent
        money = not Ceiling(None, ceiling.nanos).left(spent + before.held).covers(wish.least)
        limit = budget.usd if money else budget.tokens
        text = f"{limit:g} USD" if money else f"{limit} tokens"
        each = "" if budget.period == "total" else f" a {budget.period}"
        now, ends = self._now(), span.ends_at
        wait = None if ends is None else (ends - now).total_seconds()
        anew = "" if ends is None else f" It begins anew at {_time(ends)}."
        if not ceiling.left(spent).covers(Amount()):
            message = f"The budget of {text}{each} is spent.{anew}"
        elif ceiling.left(spent).covers(wish.least):
            message = f"What is left of the budget of {text}{each} is promised to calls under way. Try again soon."
            wait = max(1.0, before.lapses)
        else:
            what = "another try of this call, beside what is charged for the one before" if again else "this call"
            message = f"What is left of the budget of {text}{each} does not cover {what}. Allow it fewer tokens.{anew}"
        spent += charged
        return BudgetExceeded(
            message,
            retry_after=wait,
            details={
                "scope": "budget",
                "limit": limit,
                "unit": "usd" if money else "tokens",
                "period": budget.period,
                "spent": round(spent.nanos / NANO, 6) if money else spent.tokens,
                "resets_at": None if ends is None else _time(ends),
            },
        )


def budget_state(budget: Budget, span: Span, standing: Standing) -> dict[str, Any]:
    """Return a budget and what is left of it in a period, as JSON."""
    gone = standing.spent + standing.held
    return {
        "usd": budget.usd,
        "tokens": budget.tokens,
        "period": budget.period,
        "spent_usd": round(standing.spent.nanos / NANO, 9),
        "spent_tokens": standing.spent.tokens,
        "held_usd": round(standing.held.nanos / NANO, 9),
        "held_tokens": standing.held.tokens,
        "remaining_usd": None if budget.usd is None else max(0.0, round(budget.usd - gone.nanos / NANO, 9)),
        "remaining_tokens": None if budget.tokens is None else max(0, budget.tokens - gone.tokens),
        "resets_at": None if span.ends_at is None else _time(span.ends_at),
    }


async def stored_state(store: SessionStore, tenant: str, client_id: str, budget: Budget) -> dict[str, Any]:
    """Return a budget and what is left of it by the store alone, which knows nothing of calls under way.

    Raises:
        StorageError: It cannot be read.
    """
    span = Span.of(budget.period, datetime.now(UTC))
    return budget_state(budget, span, Standing(await read_spent(store, _key(tenant, client_id, span)), Amount()))


async def read_spent(store: SessionStore, key: AccountKey) -> Amount:
    """Read from the store what a client has spent since the beginning of a period.

    Raises:
        StorageError: It cannot be read.
    """
    matching = UsageFilter(client=key.client, since=key.since)
    page = await store.usage(key.tenant, by=(), matching=matching, limit=1)
    tokens = sum(total.usage.total for total in page.items)
    return Amount(tokens, round(sum(total.cost or 0.0 for total in page.items) * NANO))


def _estimated(usage: Usage) -> Usage:
    return replace(usage, details=replace(usage.details, estimated=True))


def _key(tenant: str, client: str, span: Span) -> AccountKey:
    return AccountKey(tenant, client, span.name, span.since)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")

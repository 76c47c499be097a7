"""What clients have spent in a period and what is promised to calls under way, in this process.

An account is what the store said when it was read last, what was settled since, and what is held for calls that have
not ended. What was settled in the last seconds before a reading may be in the store already or not: it counts until the
next reading, so that an account is never below what was spent, and above it for a while at most.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from orchestrator_core.provider_api import StorageError

LAG: Final = 5.0
"""Seconds that an amount may take from its settling until the store has it."""

BUCKET: Final = 5
"""Seconds whose settlings are added up."""

REREAD_AFTER: Final = 600.0
"""Seconds after which the store is read again, where nobody else spends from an account."""

REREAD_OTHERS_AFTER: Final = 30.0
"""The same where other processes spend from it and no Redis tells of them."""

MAX_ACCOUNTS: Final = 20_000
"""Accounts that are remembered; above it those used least lately are read anew."""

NANO: Final = 1_000_000_000
"""Parts of a US dollar in which money is counted: whole numbers add up the same everywhere."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens, and billionths of a US dollar."""

    tokens: int = 0
    nanos: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.tokens + other.tokens, self.nanos + other.nanos)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.tokens - other.tokens, self.nanos - other.nanos)

    def __mul__(self, times: int) -> Amount:
        return Amount(self.tokens * times, self.nanos * times)

    def at_least_nothing(self) -> Amount:
        """Return the same, where it is not below nothing: nobody holds or spends less."""
        return Amount(max(0, self.tokens), max(0, self.nanos))


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What may be spent; None does not limit it."""

    tokens: int | None = None
    nanos: int | None = None

    def left(self, gone: Amount, share: int = 1) -> Ceiling:
        """Return a part of what is left after an amount is gone."""
        return Ceiling(
            None if self.tokens is None else (self.tokens - gone.tokens) // share,
            None if self.nanos is None else (self.nanos - gone.nanos) // share,
        )

    def covers(self, amount: Amount) -> bool:
        """Whether an amount, and more than nothing, fits."""
        return (self.tokens is None or 0 < self.tokens >= amount.tokens) and (
            self.nanos is None or 0 < self.nanos >= amount.nanos
        )

    def cut(self, amount: Amount) -> Amount:
        """Return as much of an amount as fits."""
        return Amount(
            amount.tokens if self.tokens is None else min(amount.tokens, self.tokens),
            amount.nanos if self.nanos is None else min(amount.nanos, self.nanos),
        )


@dataclass(frozen=True, slots=True)
class AccountKey:
    """Whose account for which period.

    Attributes:
        tenant: The client's tenant.
        client: The client's public id.
        period: The period's name, such as `2026-11`.
        since: Its first day, UTC; None where it has none.
    """

    tenant: str
    client: str
    period: str
    since: date | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands.

    Attributes:
        spent: What was spent.
        held: What is held for calls under way.
        lapses: Seconds after which all that is held is free, because the processes that held it are gone; 0 where a
            call may be under way, whose end nobody knows.
    """

    spent: Amount
    held: Amount
    lapses: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a call may cost.

    Attributes:
        least: What has to be there.
        most: What is held, if there is so much.
        seconds: For how long at most.
    """

    least: Amount
    most: Amount
    seconds: float


@dataclass(slots=True)
class _Account:
    """One account; times are seconds of the clock."""

    base: Amount
    read_at: float
    at_reading: Amount = field(default_factory=Amount)
    """What was spent when the store was read last, as far as it is known here."""
    settled: dict[int, Amount] = field(default_factory=dict)
    holds: dict[str, tuple[float, Amount]] = field(default_factory=dict)

    def standing(self, now: float) -> Standing:
        for name in [name for name, (until, _) in self.holds.items() if until <= now]:
            del self.holds[name]
        held = sum((amount for _, amount in self.holds.values()), Amount())
        return Standing(sum(self.settled.values(), self.base), held)

    def settle(self, amount: Amount, now: float) -> None:
        bucket = int(now // BUCKET)
        self.settled[bucket] = self.settled.get(bucket, Amount()) + amount

    def reread(self, base: Amount, began: float) -> None:
        first = int((began - LAG) // BUCKET)
        self.settled = {bucket: amount for bucket, amount in self.settled.items() if bucket >= first}
        self.base, self.read_at = base, began
        self.at_reading = sum(self.settled.values(), base)


Read = Callable[[AccountKey], Awaitable[Amount]]
"""Reads from the store what an account has spent."""


class LocalBudgets:
    """The accounts of this process. Used on one event loop only."""

    def __init__(self, read: Read, *, alone: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Know no account yet.

        Args:
            read: Reads what is stored of one.
            alone: Whether no other process spends from the same accounts.
            clock: Monotonic seconds.
        """
        self._read = read
        self._reread_after = REREAD_AFTER if alone else REREAD_OTHERS_AFTER
        self._clock = clock
        self._accounts: OrderedDict[AccountKey, _Account] = OrderedDict()

    async def reserve(
        self, key: AccountKey, name: str, ceiling: Ceiling, wish: Wish, *, share: int = 1
    ) -> tuple[bool, Standing]:
        """Hold an amount for a call, if it is there. What was held for it before is replaced, or else stays.

        Args:
            key: The account.
            name: What the call is called.
            ceiling: The most that may be spent.
            wish: What the call may cost.
            share: By how many processes that is divided which was left when the store was read.

        Returns:
            Whether it is held, and how the account stood before.

        Raises:
            StorageError: What was spent so far is not known and cannot be read.
        """
        account = await self._known(key)
        now = self._clock()
        before = account.standing(now)
        _, own = account.holds.get(name, (now, Amount()))
        before = Standing(before.spent, before.held - own)
        since = before.spent - account.at_reading
        left = ceiling.left(account.at_reading, share).left(since + before.held)
        if not left.covers(wish.least.at_least_nothing()):
            return False, before
        account.holds[name] = (now + wish.seconds, left.cut(wish.most.at_least_nothing()))
        return True, before

    def hold(self, key: AccountKey, name: str, amount: Amount, until: float) -> None:
        """Hold an amount for a call that holds it elsewhere already, until some time of the clock at most."""
        account = self._accounts.get(key)
        if account is not None:
            account.holds[name] = (until, amount)

    def held(self, key: AccountKey, name: str) -> Amount:
        """Return what is held for a call."""
        account = self._accounts.get(key)
        return account.holds[name][1] if account is not None and name in account.holds else Amount()

    def settle(self, key: AccountKey, name: str, amount: Amount) -> None:
        """Replace what is held for a call by what it cost."""
        account = self._accounts.get(key)
        if account is not None:
            account.holds.pop(name, None)
            account.settle(amount.at_least_nothing(), self._clock())

    def doubt(self) -> None:
        """Read the store anew for every account, since others have spent meanwhile what is not known here."""
        for account in self._accounts.values():
            account.read_at = -math.inf

    async def standing(self, key: AccountKey) -> Standing:
        """Return how an account stands.

        Raises:
            StorageError: As for `reserve`.
        """
        return (await self._known(key)).standing(self._clock())

    async def _known(self, key: AccountKey) -> _Account:
        account, now = self._accounts.get(key), self._clock()
        if account is None or now - account.read_at > self._reread_after:
            try:
                base = await self._read(key)
            except StorageError:
                if account is None:
                    raise
                account.read_at = now  # what is known holds until the next time
            else:
                # Another call may have read it meanwhile; what it holds must stay.
                account = self._accounts.setdefault(key, _Account(base, now))
                account.reread(base, now)
        self._accounts.move_to_end(key)
        while len(self._accounts) > MAX_ACCOUNTS:
            self._accounts.popitem(last=False)
        return account

"""What this process holds of budgets in Redis: renewed while it lives, so that what a dead one held is soon free."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Final, NamedTuple

from orchestrator_core.resilience.budgets import Amount
from orchestrator_core.resilience.shared_state import SharedState, SharedStateLost

TTL: Final = 6
"""Seconds after which what a process held that died is free."""

RENEWAL: Final = 1.0
"""Seconds between two renewals, each of which is one script for all that is held: four may fail."""

RENEWED: Final = 4
"""Seconds of `TTL` that are left at least of what is renewed, give or take the second to which Redis' time is cut."""

# KEYS: accounts. ARGV: for how many seconds to hold, and to keep an account; then the number of the account, the name,
# the tokens and the nanos of each hold. One that Redis has lost, in a restart, is made again.
_RENEW: Final = """
local till = redis.call('TIME')[1] + ARGV[1]
for i = 3, #ARGV, 4 do
  local value = string.format('%.0f:%s:%s', till, ARGV[i + 2], ARGV[i + 3])
  redis.call('HSET', KEYS[tonumber(ARGV[i])], 'h' .. ARGV[i + 1], value)
end
for _, key in ipairs(KEYS) do
  redis.call('EXPIRE', key, ARGV[2])
end
return 1
"""


class Hold(NamedTuple):
    """What is held for a call.

    Attributes:
        account: The key of the account.
        amount: How much.
        until: Until when at most, in monotonic seconds.
    """

    account: str
    amount: Amount
    until: float


class SharedHolds:
    """Renews what is held for the calls of this process, whether Redis was told of it or was away.

    There is a task for it only while there are such calls.
    """

    def __init__(self, shared: SharedState, kept: int) -> None:
        """Hold nothing yet.

        Args:
            shared: The connection to Redis.
            kept: Seconds for which Redis keeps an account that nobody uses.
        """
        self._shared = shared
        self._kept = kept
        self._held: dict[str, Hold] = {}
        self._untold: set[str] = set()
        self._era = shared.era
        self._renewal = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None
        self._catching_up: asyncio.Task[bool] | None = None

    def add(self, name: str, account: str, amount: Amount, seconds: float, *, told: bool) -> None:
        """Renew what is held since now.

        Args:
            name: What the call is called.
            account: The key of the account.
            amount: What is held.
            seconds: For how long at most, should it never be told that the call ended.
            told: Whether Redis knows of it.
        """
        self._held[name] = Hold(account, amount, time.monotonic() + seconds)
        if not told:
            self._untold.add(name)
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew_on(), name="holds of budgets")

    def unrenewed(self, name: str) -> AbstractAsyncContextManager[None]:
        """Keep renewals back while something that is held already is replaced."""
        return self._renewal if name in self._held else nullcontext()

    def of(self, account: str) -> Mapping[str, Hold]:
        """Return what is held of an account."""
        return {name: hold for name, hold in self._held.items() if hold.account == account}

    async def catch_up(self) -> None:
        """Hold in Redis what it was not told of, or may have lost, before it judges another call.

        Raises:
            SharedStateLost: Redis is away.
        """
        while self._lacking():
            # A caller who leaves must not let anybody through while the script is under way.
            if self._catching_up is None or self._catching_up.done():
                self._catching_up = asyncio.create_task(self._catch_up(), name="holds that Redis lacks")
            if not await asyncio.shield(self._catching_up):
                raise SharedStateLost

    def drop(self, name: str) -> None:
        """Renew something no more."""
        self._held.pop(name, None)
        self._untold.discard(name)

    async def quiet(self) -> None:
        """Wait until no renewal is under way, which may have what was dropped meanwhile."""
        async with self._renewal:
            pass

    async def close(self) -> None:
        """Renew nothing any more."""
        for task in (self._renewing, self._catching_up):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    async def _renew_on(self) -> None:
        while self._held:
            await asyncio.sleep(RENEWAL)
            async with self._renewal:
                now = time.monotonic()
                self._held = {name: hold for name, hold in self._held.items() if hold.until > now}
                if self._held:
                    with suppress(SharedStateLost):  # it may be back in time
                        await self._renew()

    async def _catch_up(self) -> bool:
        """Return whether Redis took it."""
        async with self._renewal:
            try:
                await self._renew()
            except SharedStateLost:
                return False
        return True

    def _lacking(self) -> bool:
        return bool(self._untold) or self._era != self._shared.era

    async def _renew(self) -> None:
        era, untold = self._shared.era, set(self._untold)
        accounts: dict[str, int] = {}
        args: list[str | int] = [TTL, self._kept]
        for name, hold in self._held.items():
            number = accounts.setdefault(hold.account, len(accounts) + 1)
            args += [number, name, hold.amount.tokens, hold.amount.nanos]
        if accounts:
            await self._shared.evaluate(_RENEW, list(accounts), args)
        self._era = era
        self._untold -= untold

"""What this process holds of budgets in Redis: renewed while it lives, so that what a dead one held is soon free."""

from __future__ import annotations

import asyncio
import time
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


class _Hold(NamedTuple):
    account: str
    amount: Amount
    until: float


class SharedHolds:
    """Renews what is held for the calls of this process. There is a task for it only while there are such calls."""

    def __init__(self, shared: SharedState, kept: int) -> None:
        """Hold nothing yet.

        Args:
            shared: The connection to Redis.
            kept: Seconds for which Redis keeps an account that nobody uses.
        """
        self._shared = shared
        self._kept = kept
        self._held: dict[str, _Hold] = {}
        self._renewal = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None

    def add(self, name: str, account: str, amount: Amount, seconds: float) -> None:
        """Renew what is held in Redis since now.

        Args:
            name: What the call is called.
            account: The key of the account.
            amount: What is held.
            seconds: For how long at most, should it never be told that the call ended.
        """
        self._held[name] = _Hold(account, amount, time.monotonic() + seconds)
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew_on(), name="holds of budgets")

    def unrenewed(self, name: str) -> AbstractAsyncContextManager[None]:
        """Keep renewals back while something that is held already is replaced."""
        return self._renewal if name in self._held else nullcontext()

    async def drop(self, name: str) -> None:
        """Renew something no more. When this returns, no renewal of it is under way either."""
        async with self._renewal:
            self._held.pop(name, None)

    async def close(self) -> None:
        """Renew nothing any more."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])

    async def _renew_on(self) -> None:
        while self._held:
            await asyncio.sleep(RENEWAL)
            async with self._renewal:
                now = time.monotonic()
                self._held = {name: hold for name, hold in self._held.items() if hold.until > now}
                if self._held:
                    with suppress(SharedStateLost):  # it may be back in time
                        await self._renew()

    async def _renew(self) -> None:
        accounts: dict[str, int] = {}
        args: list[str | int] = [TTL, self._kept]
        for name, hold in self._held.items():
            number = accounts.setdefault(hold.account, len(accounts) + 1)
            args += [number, name, hold.amount.tokens, hold.amount.nanos]
        await self._shared.evaluate(_RENEW, list(accounts), args)

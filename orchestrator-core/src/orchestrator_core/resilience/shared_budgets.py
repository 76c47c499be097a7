"""The same accounts, over Redis, for all processes together."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from orchestrator_core.resilience.budgets import (
    BUCKET,
    LAG,
    MAX_ACCOUNTS,
    REREAD_AFTER,
    AccountKey,
    Amount,
    Ceiling,
    LocalBudgets,
    Read,
    Standing,
    Wish,
)
from orchestrator_core.resilience.shared_holds import RENEWED, TTL, SharedHolds
from orchestrator_core.resilience.shared_state import SharedState, SharedStateLost

KEPT: Final = 7 * 86_400
"""Seconds for which Redis keeps an account that nobody uses; then it is read anew."""

READ_AGAIN_AFTER: Final = int(LAG) + BUCKET
"""Seconds after which no call goes by a reading any more that may have counted something twice, or, soon after Redis
was away, that may have come before the last of what was spent meanwhile was stored."""

# An account is a hash: `read`, when the store was read last; `base`, what was spent before the seconds that are kept;
# `s...`, what was settled in some seconds; `h...`, until when what is held; `twice`, 1 where something may be in `base`
# and in the seconds both. Amounts are `tokens:nanos`. All times are Redis' own.
_STANDING: Final = """
local now = tonumber(redis.call('TIME')[1])
local read, twice, spent_t, spent_n, held_t, held_n, lapse = nil, false, 0, 0, 0, 0, 0
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local name, value = flat[i], flat[i + 1]
  local kind = string.sub(name, 1, 1)
  if name == 'read' then
    read = tonumber(value)
  elseif name == 'twice' then
    twice = value == '1'
  elseif kind == 'h' then
    local till, t, n = string.match(value, '(%-?%d+):(%-?%d+):(%-?%d+)')
    if tonumber(till) <= now then
      redis.call('HDEL', KEYS[1], name)
    else
      held_t, held_n, lapse = held_t + t, held_n + n, math.max(lapse, till - now)
    end
  else
    local t, n = string.match(value, '(%-?%d+):(%-?%d+)')
    spent_t, spent_n = spent_t + t, spent_n + n
  end
end
"""

# ARGV: name, seconds, least and most tokens, least and most nanos, the ceilings (-1 is none), the oldest reading that
# will do in seconds, and the oldest to refuse by where it may have counted twice. What was held under the same name is
# replaced, or stays where it is not held. Returns 1 where it is held, 0 where not, -1 where the store has to be read;
# then how it stood, in how many seconds the last of what is held lapses, and how much is held now.
_RESERVE: Final = (
    _STANDING
    + """
if not read or now - read > tonumber(ARGV[9]) then
  return {-1, now}
end
local function part(least, most, ceiling, gone)
  least, most, ceiling = math.max(0, tonumber(least)), math.max(0, tonumber(most)), tonumber(ceiling)
  if ceiling < 0 then
    return most
  end
  local left = ceiling - gone
  if left <= 0 or left < least then
    return nil
  end
  return math.min(most, left)
end
local own = redis.call('HGET', KEYS[1], 'h' .. ARGV[1])
if own then
  local t, n = string.match(own, ':(%-?%d+):(%-?%d+)$')
  held_t, held_n = held_t - t, held_n - n
end
local tokens = part(ARGV[3], ARGV[4], ARGV[7], spent_t + held_t)
local nanos = part(ARGV[5], ARGV[6], ARGV[8], spent_n + held_n)
local held = 0
if tokens and nanos then
  held = 1
  redis.call('HSET', KEYS[1], 'h' .. ARGV[1], string.format('%d:%.0f:%.0f', now + ARGV[2], tokens, nanos))
end
if held == 0 and twice and now - read > tonumber(ARGV[10]) then
  return {-1, now}
end
redis.call('EXPIRE', KEYS[1], ARGV[11])
return {held, spent_t, spent_n, held_t, held_n, lapse, tokens or 0, nanos or 0}
"""
)

# ARGV: the oldest reading that will do, and that which will do where it may have counted twice.
_LOOK: Final = (
    _STANDING
    + """
if not read or now - read > tonumber(ARGV[1]) or (twice and now - read > tonumber(ARGV[2])) then
  return {-1, now}
end
return {0, spent_t, spent_n, held_t, held_n, lapse}
"""
)

# ARGV: when the reading began, tokens, nanos, the lag, the length of a bucket, seconds to keep, 1 where Redis may lack
# something. What was settled last is in the store or not. Where Redis lacks nothing, the account was right before and
# stays as it is, between what the store has and that with all that was settled last.
_REREAD: Final = (
    _STANDING
    + """
if (read or 0) > tonumber(ARGV[1]) then
  return 0
end
local first = math.floor((ARGV[1] - ARGV[4]) / ARGV[5])
local kept_t, kept_n = 0, 0
for i = 1, #flat, 2 do
  local name, value = flat[i], flat[i + 1]
  if string.sub(name, 1, 1) == 's' then
    if tonumber(string.sub(name, 2)) < first then
      redis.call('HDEL', KEYS[1], name)
    else
      local t, n = string.match(value, '(%-?%d+):(%-?%d+)')
      kept_t, kept_n = kept_t + t, kept_n + n
    end
  end
end
local function total(stored, kept, before)
  if ARGV[7] == '1' then
    return stored + kept
  end
  return math.max(stored, math.min(before, stored + kept))
end
local stored_t, stored_n = tonumber(ARGV[2]), tonumber(ARGV[3])
local total_t, total_n = total(stored_t, kept_t, spent_t), total(stored_n, kept_n, spent_n)
local base = string.format('%.0f:%.0f', total_t - kept_t, total_n - kept_n)
local may = (total_t > stored_t or total_n > stored_n) and '1' or '0'
redis.call('HSET', KEYS[1], 'read', ARGV[1], 'base', base, 'twice', may)
redis.call('EXPIRE', KEYS[1], ARGV[6])
return 1
"""
)

# ARGV: name, tokens, nanos, the length of a bucket.
_SETTLE: Final = """
redis.call('HDEL', KEYS[1], 'h' .. ARGV[1])
if redis.call('HEXISTS', KEYS[1], 'read') == 1 then
  local name = 's' .. string.format('%.0f', math.floor(redis.call('TIME')[1] / ARGV[4]))
  local t, n = string.match(redis.call('HGET', KEYS[1], name) or '0:0', '(%-?%d+):(%-?%d+)')
  local more_t, more_n = math.max(0, tonumber(ARGV[2])), math.max(0, tonumber(ARGV[3]))
  redis.call('HSET', KEYS[1], name, string.format('%.0f:%.0f', t + more_t, n + more_n))
end
return 1
"""


class SharedBudgets:
    """Accounts that all processes share.

    While Redis is away, each process goes by what the store says and by what it holds itself, from before too, and
    takes no more than its part of what was left when it read the store. What is settled then is in the store, which is
    read anew when Redis is back; what is held then is held in Redis before that judges another call of this process.
    """

    def __init__(self, shared: SharedState, local: LocalBudgets, read: Read, processes: int) -> None:
        """Share accounts.

        Args:
            shared: The connection to Redis.
            local: The accounts of this process, for when Redis is away.
            read: Reads what is stored of an account.
            processes: How many share the accounts.
        """
        self._shared = shared
        self._local = local
        self._read = read
        self._processes = processes
        self._trusted: dict[AccountKey, float] = {}
        """Until when Redis is trusted to know an account, by the monotonic clock."""
        self._lost_at = -math.inf
        self._era = shared.era
        self._doubted = shared.era
        """As of which loss of Redis the accounts of this process were read anew."""
        self._holds = SharedHolds(shared, KEPT)
        self._settling: set[asyncio.Task[None]] = set()

    async def reserve(self, key: AccountKey, name: str, ceiling: Ceiling, wish: Wish) -> tuple[bool, Standing]:
        """See `LocalBudgets.reserve`."""
        least, most = wish.least, wish.most
        wanted: list[str | int] = [name, TTL, least.tokens, most.tokens, least.nanos, most.nanos]
        wanted += [-1 if limit is None else limit for limit in (ceiling.tokens, ceiling.nanos)]

        async def hold(oldest: int, doubtful: int) -> Sequence[int]:
            args, era = [*wanted, oldest, doubtful, KEPT], self._shared.era
            async with self._holds.unrenewed(name):
                answer: Sequence[int] = await self._shared.evaluate(_RESERVE, [_name(key)], args)
                if answer[0] == 1 and era == self._shared.era:
                    self._holds.add(name, _name(key), Amount(answer[6], answer[7]), wish.seconds, told=True)
            return answer

        try:
            answer = await self._ask(key, hold)
        except SharedStateLost:
            self._lose()
            await self._take_over(key)
            done, before = await self._local.reserve(key, name, ceiling, wish, share=self._processes)
            if done:
                self._holds.add(name, _name(key), self._local.held(key, name), wish.seconds, told=False)
            return done, before
        return answer[0] == 1, _standing(answer)

    def settle(self, key: AccountKey, name: str, amount: Amount) -> None:
        """See `LocalBudgets.settle`; Redis is told in the background."""
        self._local.settle(key, name, amount)
        self._holds.drop(name)
        task = asyncio.create_task(self._settle(key, name, amount))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def standing(self, key: AccountKey) -> Standing:
        """See `LocalBudgets.standing`."""

        async def look(oldest: int, doubtful: int) -> Sequence[int]:
            answer: Sequence[int] = await self._shared.evaluate(_LOOK, [_name(key)], [oldest, doubtful])
            return answer

        try:
            return _standing(await self._ask(key, look))
        except SharedStateLost:
            await self._take_over(key)
            return await self._local.standing(key)

    async def close(self) -> None:
        """Tell Redis what is left to tell."""
        if self._settling:
            await asyncio.wait(self._settling)
        await self._holds.close()

    async def _ask(self, key: AccountKey, run: Callable[[int, int], Awaitable[Sequence[int]]]) -> Sequence[int]:
        """Run a script on an account, after the store was read where that is due.

        Args:
            key: The account.
            run: Runs it, with the oldest reading that will do, and that which will do where it may have counted twice.

        Raises:
            SharedStateLost: Redis is away.
        """
        self._notice()
        era = self._era
        await self._holds.catch_up()
        answer = await run(int(REREAD_AFTER) if self._trusts(key) else -1, READ_AGAIN_AFTER)
        if era != self._shared.era:
            self._notice()
            await self._holds.catch_up()
            answer = await run(-1, READ_AGAIN_AFTER)
        if answer[0] == -1:
            began = int(answer[1])
            base = await self._read(key)
            reading: list[str | int] = [began, base.tokens, base.nanos, int(LAG), BUCKET, KEPT]
            reading.append(int(self._lost_at > -math.inf and not self._trusts(key)))
            await self._shared.evaluate(_REREAD, [_name(key)], reading)
            self._trust(key)
            answer = await run(KEPT, KEPT)
            if answer[0] == -1:
                raise SharedStateLost  # it was emptied just now
        return answer

    async def _take_over(self, key: AccountKey) -> None:
        """Hold in the account of this process what its calls under way hold in Redis.

        Raises:
            StorageError: As for `LocalBudgets.standing`.
        """
        if self._doubted != self._shared.era:
            self._doubted = self._shared.era
            self._local.doubt()
        await self._local.standing(key)  # reads the store where that is due; meanwhile calls may end
        for name, hold in self._holds.of(_name(key)).items():
            self._local.hold(key, name, hold.amount, hold.until)

    def _trusts(self, key: AccountKey) -> bool:
        return time.monotonic() < self._trusted.get(key, 0.0)

    def _notice(self) -> None:
        """Trust Redis no more where it was away or another one since the last look, whoever saw it."""
        if self._era != self._shared.era:
            self._lose()

    async def _settle(self, key: AccountKey, name: str, amount: Amount) -> None:
        await self._holds.quiet()
        try:
            await self._shared.evaluate(_SETTLE, [_name(key)], [name, amount.tokens, amount.nanos, BUCKET])
        except SharedStateLost:
            self._lose()

    def _trust(self, key: AccountKey) -> None:
        now = time.monotonic()
        self._trusted.pop(key, None)
        self._trusted[key] = math.inf if now - self._lost_at > READ_AGAIN_AFTER else now + READ_AGAIN_AFTER
        if len(self._trusted) > MAX_ACCOUNTS:
            del self._trusted[next(iter(self._trusted))]  # read the longest ago, and read anew where it is used again

    def _lose(self) -> None:
        self._era = self._shared.era
        self._trusted.clear()
        self._lost_at = time.monotonic()


def _standing(answer: Sequence[int]) -> Standing:
    _, spent_tokens, spent_nanos, held_tokens, held_nanos, lapse, *_ = answer
    lapses = lapse if lapse < RENEWED else 0
    return Standing(Amount(spent_tokens, spent_nanos), Amount(held_tokens, held_nanos), lapses)


def _name(key: AccountKey) -> str:
    account = f"{key.tenant}/{key.client}/{key.period}"
    return f"orchestrator:budget:{hashlib.blake2b(account.encode(), digest_size=16).hexdigest()}"

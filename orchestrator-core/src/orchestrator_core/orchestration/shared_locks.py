"""One turn at a time for each session, over all processes that share a Redis."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog

from orchestrator_core.orchestration.locks import FIRST_POLL, LAST_POLL, LocalLocks, busy
from orchestrator_core.resilience.shared_state import SharedState, SharedStateLost

TTL: Final = 8.0
"""Seconds after which the lock of a process that died is free."""

RENEWAL: Final = 2.0
"""Seconds between two renewals: three may fail."""

_RESERVATION: Final = 1.0
"""Seconds for which a lock that becomes free is kept for who waits: longer than any wait between two looks."""

_FENCE_TTL: Final = 3600.0
"""Seconds that the last fence is remembered. Later fences are greater even where it is not, by the time in them."""

# KEYS of all: who holds the lock, who is the next, the last fence. ARGV[1]: the token of who asks. Times in ms.
#
# The fence is the time of Redis in microseconds, or one more than the last: so it grows even where Redis has lost its
# memory, while a counter would begin again, below what the store has seen.
_ACQUIRE: Final = """
local waiting = redis.call('GET', KEYS[2])
if (waiting and waiting ~= ARGV[1]) or not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  if not waiting or waiting == ARGV[1] then
    redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
  end
  return false
end
redis.call('DEL', KEYS[2])
local clock = redis.call('TIME')
local fence = math.max(clock[1] * 1000000 + clock[2], tonumber(redis.call('GET', KEYS[3]) or 0) + 1)
redis.call('SET', KEYS[3], string.format('%.0f', fence), 'PX', ARGV[4])
return fence
"""

# Where Redis has lost the lock, in a restart, and nobody has had it since, it is taken again.
_RENEW: Final = """
local holder = redis.call('GET', KEYS[1])
local last = redis.call('GET', KEYS[3])
if (holder or ARGV[1]) ~= ARGV[1] or (last or ARGV[4]) ~= ARGV[4] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[3])
return 1
"""

_RELEASE: Final = """
for i = 1, 2 do
  if redis.call('GET', KEYS[i]) == ARGV[1] then
    redis.call('DEL', KEYS[i])
  end
end
"""

_logger = structlog.get_logger(__name__)


class SharedLocks:
    """Serialises the turns of a session over all processes.

    Within a process the turns queue for the local lock, and the first of them alone asks Redis. Between processes the
    next in turn is who first found the lock taken, so that a busy process does not keep a session to itself. While
    Redis is away the local lock is all there is: the store still refuses a second turn, and is asked again.
    """

    def __init__(self, shared: SharedState, wait: float) -> None:
        """Make locks.

        Args:
            shared: Where they are.
            wait: Seconds that a turn waits for the one before it.
        """
        self._shared = shared
        self._wait = wait
        self._local = LocalLocks(wait)
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def hold(self, session_id: str, limit: float) -> AsyncIterator[int | None]:
        """Hold a session's lock; see `SessionLocks.hold`."""
        end = time.monotonic() + min(self._wait, limit)
        async with self._local.hold(session_id, limit):
            lock = _SharedLock(self._shared, session_id)
            released = asyncio.Event()
            keeping: asyncio.Task[None] | None = None
            try:
                fence = await self._acquire(lock, end)
                if fence is not None:
                    keeping = self._own(lock.keep(fence, released))
                yield fence
            finally:
                released.set()
                # Owned: a caller who leaves now, or left while Redis gave the lock, does not keep it for its TTL.
                await asyncio.shield(keeping or self._own(lock.release()))

    async def _acquire(self, lock: _SharedLock, end: float) -> int | None:
        delay = FIRST_POLL
        try:
            while (fence := await lock.acquire()) is None:
                left = end - time.monotonic()
                if left <= 0:
                    raise busy()
                # Jitter: two who found it taken at once do not ask in step.
                await asyncio.sleep(min(left, delay * random.uniform(0.5, 1.0)))  # noqa: S311 - no secret
                delay = min(delay * 1.5, LAST_POLL)
        except SharedStateLost:
            return None
        return fence

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _SharedLock:
    """One try to hold the lock of one session."""

    def __init__(self, shared: SharedState, session_id: str) -> None:
        self._shared = shared
        self._session_id = session_id
        self._keys = [f"orchestrator:session:{name}:{session_id}" for name in ("lock", "next", "fence")]
        self._token = secrets.token_hex(16)
        self._asking: asyncio.Task[int | None] | None = None

    async def acquire(self) -> int | None:
        """Return the fence; None where somebody else has the lock, or is the next to have it."""
        self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> int | None:
        args = (self._token, _ms(TTL), _ms(_RESERVATION), _ms(_FENCE_TTL))
        fence: int | None = await self._shared.evaluate(_ACQUIRE, self._keys, args)
        return fence

    async def keep(self, fence: int, released: asyncio.Event) -> None:
        """Renew the lock until it is released or lost; a Redis that is away may come back in time."""
        args = (self._token, _ms(TTL), _ms(_FENCE_TTL), str(fence))
        while not await _wait(released, RENEWAL):
            with suppress(SharedStateLost):
                if not await self._shared.evaluate(_RENEW, self._keys, args):
                    _logger.warning("Session lock lost: the turn goes on", session_id=self._session_id, fence=fence)
                    return
        # After the last renewal has ended, which would take the lock again.
        await self.release()

    async def release(self) -> None:
        """Give up the lock, or the wait for it. Where Redis is away, it forgets them by itself."""
        if self._asking is not None:
            # A caller who left did not stop it: whatever it gets is given back.
            await asyncio.gather(self._asking, return_exceptions=True)
        with suppress(SharedStateLost):
            await self._shared.evaluate(_RELEASE, self._keys, [self._token])


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _ms(seconds: float) -> int:
    return int(seconds * 1000)

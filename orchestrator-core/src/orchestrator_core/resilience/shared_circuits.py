"""What the processes tell each other of open circuits, over Redis, beside the calls and never within one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Final

import structlog

from orchestrator_core.resilience.breakers import Breakers
from orchestrator_core.resilience.shared_state import SharedState, SharedStateLost

SYNC_EVERY: Final = 1.0
"""Seconds after which the others know at the latest, as long as Redis answers."""

KEY: Final = "orchestrator:circuits"

_FORGET: Final = 600_000
"""Milliseconds after its cooldown for which a circuit that nobody closed is remembered."""

# KEYS: a sorted set of circuits, by the end of their cooldown in milliseconds; a token that goes when Redis forgets.
# ARGV: how long to remember them, the token where there is none, then the names and milliseconds of those that opened,
# with 0 for those that closed. Returns the token and all: names and milliseconds left.
_SYNC: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local kept = tonumber(ARGV[1])
redis.call('SET', KEYS[2], ARGV[2], 'NX')
redis.call('PEXPIRE', KEYS[2], kept)
for i = 3, #ARGV, 2 do
  local left = tonumber(ARGV[i + 1])
  if left > 0 then
    redis.call('ZADD', KEYS[1], now + left, ARGV[i])
  else
    redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - kept)
local found = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
if #found > 0 then
  redis.call('PEXPIRE', KEYS[1], math.ceil(found[#found] - now + kept))
end
for i = 2, #found, 2 do
  found[i] = string.format('%.0f', found[i] - now)
end
return {redis.call('GET', KEYS[2]), unpack(found)}
"""

_logger = structlog.get_logger(__name__)

Name = tuple[str, str]
"""A provider and a model."""


class SharedCircuits:
    """Tells the other processes which circuits opened and closed here, and opens and closes here what they tell.

    While Redis is away each process goes by its own calls; what it could not tell, it tells when Redis is back. To a
    Redis that has forgotten something it tells all that is open here: what is not there was not closed by anybody.
    """

    def __init__(self, breakers: Breakers, shared: SharedState) -> None:
        """Make it; `run` does the work, and `note` is to be told of each change here.

        Args:
            breakers: The circuits of this process.
            shared: What all processes share.
        """
        self._breakers = breakers
        self._shared = shared
        self._changed: set[Name] = set()
        self._known: set[Name] = set()
        self._memory: tuple[bytes, int] | None = None
        self._taking = False

    def note(self, provider: str, model: str) -> None:
        """Note that a circuit opened or closed here; what the others told is not told back."""
        if not self._taking:
            self._changed.add((provider, model))

    async def run(self) -> None:
        """Tell and take again and again, until cancelled."""
        while True:
            try:
                await self.sync()
            except SharedStateLost:
                pass  # reported by the shared state itself
            except Exception:
                _logger.exception("Circuits not shared; tried again soon")
            await asyncio.sleep(SYNC_EVERY)

    async def sync(self) -> None:
        """Tell and take once.

        Raises:
            SharedStateLost: Redis is away.
        """
        changed, self._changed = self._changed, set()
        waits = {(each.provider, each.model): each.wait for each in self._breakers.circuits if each.state == "open"}
        try:
            memory, found = await _sync(self._shared, {name: waits.get(name, 0.0) for name in changed})
        except BaseException:
            self._changed |= changed
            raise
        told = memory, self._shared.era  # one that came back older has the token that it had
        if told != self._memory:
            self._memory = told
            self._known.clear()
            self._changed |= waits.keys() - found.keys()
        self._take(found)

    def _take(self, found: Mapping[Name, float]) -> None:
        self._taking = True
        try:
            for (provider, model), seconds in found.items():
                if seconds > 0 and (provider, model) not in self._changed:
                    self._breakers.open(provider, model, seconds)
            # What all knew and is no more was closed by one of them.
            for provider, model in self._known - found.keys() - self._changed:
                self._breakers.close(provider, model)
        finally:
            self._taking = False
        self._known = set(found)


async def read_circuits(shared: SharedState) -> Mapping[Name, float]:
    """Return the open circuits of all processes, by the seconds that are left of their cooldown; below 0 it is over.

    Args:
        shared: What all processes share.

    Raises:
        SharedStateLost: Redis is away.
    """
    return (await _sync(shared, {}))[1]


async def _sync(shared: SharedState, changed: Mapping[Name, float]) -> tuple[bytes, Mapping[Name, float]]:
    """Tell for how many seconds circuits are open here, 0 where they closed; return all, and a token of Redis' memory.

    The token is the same for as long as Redis has forgotten nothing.
    """
    args: list[str | int] = [_FORGET, secrets.token_hex(8)]
    for (provider, model), seconds in changed.items():
        args += [f"{provider}/{model}", int(seconds * 1000)]
    memory, *answer = await shared.evaluate(_SYNC, [KEY, f"{KEY}:memory"], args)
    found: dict[Name, float] = {}
    for name, left in zip(answer[::2], answer[1::2], strict=True):
        provider, _, model = name.decode().partition("/")
        found[provider, model] = int(left) / 1000
    return memory, found

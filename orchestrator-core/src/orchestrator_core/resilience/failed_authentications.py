"""How many wrong credentials one address may send in a minute."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import RateLimited
from orchestrator_core.resilience.limits import MAX_KEYS, RequestLimit
from orchestrator_core.resilience.shared_state import SharedState

KNOWN_FOR: Final = 3600.0
"""Seconds for which a credential that was right lets its sender pass while its address has to wait."""


K = TypeVar("K")


class FailedAuthentications:
    """Refuses addresses that guess, before their next credential is looked at.

    Wrong credentials are counted in any 60 seconds, over Redis where there is one; each process learns that an address
    has to wait by the next wrong one that comes to it, so that right ones cost no round trip. Many clients may share an
    address (a company, a proxy that is not trusted): one that sent a right credential from there within the last hour
    goes on while others of the address have to wait. A credential counts when it was found wrong, not before: all of a
    burst is looked at, and an office whose clients start at once is not taken for one that guesses. Memory is bounded
    by `MAX_KEYS`.
    """

    def __init__(
        self, settings: Settings, shared: SharedState | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make the limit that the settings ask for.

        Args:
            settings: Without a limit in development, unless it is set.
            shared: Where all processes count together; None counts in this one.
            clock: Monotonic seconds.
        """
        self._limit = settings.failed_authentications_limit
        self._failures = RequestLimit("address", self._limit, shared, settings.expected_processes, clock)
        self._clock = clock
        self._waiting: OrderedDict[str, float] = OrderedDict()
        self._known: OrderedDict[tuple[str, int], float] = OrderedDict()

    def check(self, address: str, credential: str) -> None:
        """Refuse an address that has to wait.

        Args:
            address: Whose credential it is (`networks.client_of`).
            credential: What it sent. Only whether it was right lately is looked up, by a keyed hash.

        Raises:
            RateLimited: It has to wait; `retry_after` says how long.
        """
        until = self._waiting.get(address)
        if until is None:
            return
        now = self._clock()
        if until <= now:
            del self._waiting[address]
        elif self._known.get((address, hash(credential)), 0.0) <= now:
            raise _refused(until - now)

    def succeeded(self, address: str, credential: str) -> None:
        """Remember a right credential."""
        if self._limit is not None:
            _remember(self._known, (address, hash(credential)), self._clock() + KNOWN_FOR)

    async def failed(self, address: str) -> None:
        """Count a wrong credential.

        Raises:
            RateLimited: It was one too many; from now on the address has to wait.
        """
        if self._limit is None:
            return
        try:
            await self._failures.admit(address)
        except RateLimited as reached:
            wait = reached.retry_after or 1.0
            _remember(self._waiting, address, self._clock() + wait)
            raise _refused(wait) from None


def _remember(into: OrderedDict[K, float], key: K, until: float) -> None:
    into[key] = until
    into.move_to_end(key)
    if len(into) > MAX_KEYS:
        into.popitem(last=False)


def _refused(wait: float) -> RateLimited:
    return RateLimited(
        f"Too many wrong client credentials came from this address. Come again in {math.ceil(wait)} seconds.",
        retry_after=wait,
    )

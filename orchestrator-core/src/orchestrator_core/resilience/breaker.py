"""One circuit: whether a provider and model is asked, by how its calls went of late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Self

from orchestrator_core.config import Settings

State = Literal["closed", "open", "half_open"]
"""`closed`: calls go through. `open`: none does. `half_open`: a few probe whether it is well again."""

SLICES: Final = 10
"""Parts of the window: a call is forgotten after the window and at most a tenth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """When a circuit opens, and when it closes.

    Attributes:
        failure_rate: The share of calls that fail, from which it opens; above 0, at most 1.
        minimum_calls: Calls below which the share says nothing.
        window: Seconds back to which calls are counted.
        cooldown: Seconds for which it stays open.
        probes: Calls at a time while it is half open. One that has not ended within `cooldown` keeps no other away.
    """

    failure_rate: float = 0.5
    minimum_calls: int = 10
    window: float = 30.0
    cooldown: float = 15.0
    probes: int = 1

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take the rules from the operator's settings."""
        return cls(
            failure_rate=settings.breaker_failure_rate,
            minimum_calls=settings.breaker_minimum_calls,
            window=settings.breaker_window,
            cooldown=settings.breaker_cooldown,
            probes=settings.breaker_probes,
        )


class Breaker:
    """Counts the calls of a sliding window, and opens when too many of them fail.

    What is admitted gets the number of the present phase, and comes back with it: how a call ends that began in an
    earlier phase says nothing of this one. Used on the event loop only.

    Attributes:
        state: The state, which changes from `open` to `half_open` only with the first call after the cooldown.
        until: When the next call is admitted, in the time of whoever calls: while `open` as the cooldown ends, while
            `half_open` as the time of the last probe ends.
    """

    __slots__ = ("_on_change", "_phase", "_probing", "_rules", "_window", "state", "until")

    def __init__(self, rules: BreakerRules, on_change: Callable[[Breaker], None]) -> None:
        """Begin closed.

        Args:
            rules: When it opens and closes.
            on_change: Told after each change of `state`.
        """
        self.state: State = "closed"
        self.until = 0.0
        self._rules = rules
        self._on_change = on_change
        self._phase = 0
        self._probing = 0
        self._window = _Window(rules.window)

    def wait(self, now: float) -> float:
        """Return the seconds after which a call would be admitted; 0 is now."""
        if self.state == "closed":
            return 0.0
        if self.state == "open":
            return max(0.0, self.until - now)
        # An answer that is not streamed says only with its end how it went, and that may be far away.
        return 0.0 if self._probing < self._rules.probes else max(0.0, self.until - now)

    def admit(self, now: float) -> int:
        """Admit a call, where `wait` is 0, and return its phase for `opened`, `succeeded`, `failed` or `released`."""
        if self.state == "closed":
            return self._phase
        if self.state == "open":
            self._turn("half_open")
        self._probing += 1
        self.until = now + self._rules.cooldown
        return self._phase

    def opened(self, phase: int) -> int:
        """Note that a call began to answer, and return the phase that it belongs to from now on.

        A probe has found what it was to find, though its answer may take long: the circuit closes.
        """
        if phase != self._phase or self.state != "half_open":
            return phase
        self.close()
        return self._phase

    def succeeded(self, phase: int, now: float) -> None:
        """Note that a call answered to its end."""
        if self.state == "half_open":
            phase = self.opened(phase)
        if phase == self._phase:
            self._window.add(now, failed=False)

    def failed(self, phase: int, now: float) -> None:
        """Note that the provider failed in a call, also in one whose answer had begun."""
        if phase != self._phase:
            return
        if self.state == "half_open":
            self.open(now + self._rules.cooldown)
            return
        self._window.add(now, failed=True)
        calls, failures = self._window.totals(now)
        if calls >= self._rules.minimum_calls and failures >= calls * self._rules.failure_rate:
            self.open(now + self._rules.cooldown)

    def released(self, phase: int) -> None:
        """Note that a call ended without saying anything of the provider: its caller left, or was at fault."""
        if phase == self._phase and self.state == "half_open":
            self._probing -= 1

    def is_over(self, now: float) -> bool:
        """Whether nobody asked for a window since a call would be admitted: nothing is known of it any more."""
        return self.state != "closed" and not self._probing and now >= self.until + self._rules.window

    def open(self, until: float) -> None:
        """Open, or stay open, until then."""
        self.until = until
        if self.state != "open":
            self._turn("open")

    def close(self) -> None:
        """Close, and count from anew."""
        if self.state != "closed":
            self._window = _Window(self._rules.window)
            self._turn("closed")

    def _turn(self, state: State) -> None:
        self.state = state
        self._phase += 1
        self._probing = 0
        self._on_change(self)


class _Window:
    """Calls and failures of the last seconds, in slices."""

    __slots__ = ("_calls", "_failures", "_length", "_slices")

    def __init__(self, seconds: float) -> None:
        self._length = seconds / SLICES
        self._slices: deque[list[int]] = deque()  # number, calls, failures
        self._calls = 0
        self._failures = 0

    def add(self, now: float, *, failed: bool) -> None:
        number, slices = int(now / self._length), self._slices
        if not slices or slices[-1][0] != number:
            self._forget(number)
            slices.append([number, 0, 0])
        last = slices[-1]
        last[1] += 1
        last[2] += failed
        self._calls += 1
        self._failures += failed

    def totals(self, now: float) -> tuple[int, int]:
        """Return calls and failures."""
        self._forget(int(now / self._length))
        return self._calls, self._failures

    def _forget(self, number: int) -> None:
        while self._slices and self._slices[0][0] < number - SLICES:
            _, calls, failures = self._slices.popleft()
            self._calls -= calls
            self._failures -= failures

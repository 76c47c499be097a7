"""The circuits of all providers and models that were asked of late."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from orchestrator_core.provider_api import CircuitOpen
from orchestrator_core.resilience.breaker import Breaker, BreakerRules, State

MAX_CIRCUITS: Final = 1_000
"""Providers and models that are remembered. Callers name models, so that without a bound they could fill the memory;
above it the one that was not asked for the longest time is forgotten."""

ALL_MODELS: Final = "*"
"""What stands for the model where the circuit is that of a provider as a whole; no call is to a model of that name."""

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Circuit:
    """What is known of a provider and model that is not simply asked.

    Attributes:
        provider: The provider instance.
        model: The model, or `ALL_MODELS`.
        state: `open` or `half_open`.
        wait: Seconds after which a call would be admitted.
    """

    provider: str
    model: str
    state: State
    wait: float


class Permit:
    """One call that was admitted; tell it how the call went."""

    __slots__ = ("_breaker", "_clock", "_phase", "_whole", "_whole_phase")

    def __init__(
        self, breaker: Breaker, phase: int, whole: Breaker, whole_phase: int, clock: Callable[[], float]
    ) -> None:
        """Stand for a call that the breakers of its model and of its provider admitted."""
        self._breaker = breaker
        self._phase = phase
        self._whole = whole
        self._whole_phase = whole_phase
        self._clock = clock

    def opened(self) -> None:
        """Note that the call began to answer: where it is a probe, it has found what it was to find."""
        if self._breaker.state == "half_open":
            self._phase = self._breaker.opened(self._phase)
        if self._whole.state == "half_open":
            self._whole_phase = self._whole.opened(self._whole_phase)

    def end(self, *, failed: bool | None) -> None:
        """Note how the call ended; to be told once.

        Args:
            failed: Whether the provider failed; None where the end says nothing of it.
        """
        now = self._clock()
        if failed is None:
            self._breaker.released(self._phase)
            self._whole.released(self._whole_phase)
        elif failed:
            self._breaker.failed(self._phase, now)
            # What a model's own circuit stops is no reason to leave the other models alone.
            if self._breaker.state == "closed" or self._whole.state == "half_open":
                self._whole.failed(self._whole_phase, now)
        else:
            self._breaker.succeeded(self._phase, now)
            self._whole.succeeded(self._whole_phase, now)


class Breakers:
    """A breaker for each provider and model, and one for each provider. Used on the event loop only.

    That of a provider opens where its failures are spread over so many models that none of their own opens, and no
    model answers: with many models an outage would else be many calls.
    """

    def __init__(
        self,
        rules: BreakerRules,
        on_change: Callable[[str, str, State], None],
        *,
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the collection.

        Args:
            rules: When circuits open and close.
            on_change: Told the provider, the model and the state after each change.
            enabled: Whether anything is counted; where not, every call is admitted.
            clock: Monotonic seconds.
        """
        self.enabled = enabled
        self._rules = rules
        # Twice as many, so that one model's failures before its own circuit opens are not most of them.
        self._whole_rules = replace(rules, failure_rate=1.0, minimum_calls=2 * rules.minimum_calls)
        self._tell = on_change
        self._clock = clock
        self._breakers: OrderedDict[tuple[str, str], Breaker] = OrderedDict()

    def admit(self, provider: str, model: str) -> Permit | None:
        """Admit a call; None where nothing is counted.

        Raises:
            CircuitOpen: The provider and model failed too often; `retry_after` says when to come again.
        """
        if not self.enabled:
            return None
        whole, breaker, now = self._get(provider, ALL_MODELS), self._get(provider, model), self._clock()
        if whole.state != "closed" and (wait := whole.wait(now)):
            raise _left_alone(f"all models of {provider!r}", provider, wait)
        if breaker.state != "closed" and (wait := breaker.wait(now)):
            raise _left_alone(f"the model {model!r} of {provider!r}", provider, wait)
        return Permit(breaker, breaker.admit(now), whole, whole.admit(now), self._clock)

    def wait(self, provider: str, model: str) -> float:
        """Return the seconds after which a call would be admitted; 0 is now."""
        found = (self._breakers.get((provider, name)) for name in (ALL_MODELS, model))
        now = self._clock()
        return max((breaker.wait(now) for breaker in found if breaker is not None), default=0.0)

    def open(self, provider: str, model: str, seconds: float) -> None:
        """Open a circuit for so long: another process found that its calls fail."""
        self._get(provider, model).open(self._clock() + seconds)

    def close(self, provider: str, model: str) -> None:
        """Close a circuit: another process found that it answers."""
        breaker = self._breakers.get((provider, model))
        if breaker is not None:
            breaker.close()

    def forget(self) -> None:
        """Close the circuits that nobody asked for a window since their cooldown: no call would ever do so."""
        now = self._clock()
        for breaker in self._breakers.values():
            if breaker.is_over(now):
                breaker.close()

    @property
    def circuits(self) -> Sequence[Circuit]:
        """The circuits that keep calls away, or are being probed."""
        now = self._clock()
        found = (Circuit(*name, breaker.state, breaker.wait(now)) for name, breaker in self._breakers.items())
        return [each for each in found if each.wait > 0 or each.state == "half_open"]

    def __len__(self) -> int:
        """Return how many circuits are remembered."""
        return len(self._breakers)

    def _get(self, provider: str, model: str) -> Breaker:
        name = provider, model
        breaker = self._breakers.get(name)
        if breaker is not None:
            self._breakers.move_to_end(name)
            return breaker
        rules = self._whole_rules if model == ALL_MODELS else self._rules
        breaker = self._breakers[name] = Breaker(rules, lambda changed: self._changed(name, changed))
        if len(self._breakers) > MAX_CIRCUITS:
            forgotten, last = self._breakers.popitem(last=False)
            if last.state != "closed":
                self._tell(*forgotten, "closed")
        return breaker

    def _changed(self, name: tuple[str, str], breaker: Breaker) -> None:
        if self._breakers.get(name) is not breaker:
            return  # it was forgotten while calls were under way, and nobody would tell of its end
        provider, model = name
        log = _logger.warning if breaker.state == "open" else _logger.info
        log("Circuit " + breaker.state.replace("_", " "), provider=provider, model=model)
        self._tell(provider, model, breaker.state)


def _left_alone(who: str, provider: str, seconds: float) -> CircuitOpen:
    wait = max(1, math.ceil(seconds))
    return CircuitOpen(
        f"Too many calls to {who} failed of late, and none is made for {wait} seconds. "
        "Come again then, or choose another.",
        provider=provider,
        retry_after=wait,
    )

"""What happened in the last hour, in steps of a few seconds: what the counters gained in each.

Nothing is counted for it a second time: the counters of all processes together are read once a step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestrator_core.telemetry import instruments as names
from orchestrator_core.telemetry.metrics import CANCELLED, Metrics

STEP: Final = 15
"""Seconds of one step. Steps begin at multiples of it, in every process at the same time."""

STEPS: Final = 240
"""How many are kept: an hour."""

_REQUESTS: Final = f"{names.REQUESTS.name}_total"
_ATTEMPTS: Final = f"{names.ATTEMPTS.name}_total"
_SECONDS: Final = f"{names.CALL_SECONDS.name}_sum"
_TOKENS: Final = f"{names.KINDS_OF_TOKENS.name}_total"
_COST: Final = f"{names.COST.name}_total"
_OF_PROVIDERS: Final = frozenset({_ATTEMPTS, _SECONDS, _TOKENS, _COST})

SAMPLES: Final = (_REQUESTS, names.REQUESTS_IN_FLIGHT.name, names.STREAMS_IN_FLIGHT.name, *sorted(_OF_PROVIDERS))
"""The names of the samples that are added up."""


@dataclass(slots=True)
class ProviderActivity:
    """Calls to one provider.

    Attributes:
        calls: Tries that ended; those that the client gave up do not count.
        failed: Those of them that were not answered.
        seconds: What they took together.
        tokens: Their tokens of every kind.
        cost: US dollars, of those with a known price.
    """

    calls: float = 0
    failed: float = 0
    seconds: float = 0
    tokens: float = 0
    cost: float = 0

    def since(self, before: ProviderActivity) -> ProviderActivity:
        """Return what was gained; a counter that fell began anew."""
        return ProviderActivity(
            max(0, self.calls - before.calls),
            max(0, self.failed - before.failed),
            max(0, self.seconds - before.seconds),
            max(0, self.tokens - before.tokens),
            max(0, self.cost - before.cost),
        )


@dataclass(slots=True)
class Totals:
    """What was counted so far.

    Attributes:
        requests: Requests served.
        errors: Those that were answered with 500 or above.
        refused: Those that were answered with 429.
        in_flight: Requests under way.
        streams: Streams under way.
        providers: Calls, by provider.
    """

    requests: float = 0
    errors: float = 0
    refused: float = 0
    in_flight: float = 0
    streams: float = 0
    providers: dict[str, ProviderActivity] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What happened in one step.

    Attributes:
        at: When it ended, in seconds since the epoch.
        requests: Requests that ended in it.
        errors: Those that were answered with 500 or above.
        refused: Those that were answered with 429.
        in_flight: Requests under way at its end.
        streams: Streams under way at its end.
        providers: Calls that ended in it, by provider; those that had none are left out.
    """

    at: int
    requests: int
    errors: int
    refused: int
    in_flight: int
    streams: int
    providers: Mapping[str, ProviderActivity]


class Activity:
    """Keeps the steps of the last hour."""

    def __init__(self) -> None:
        """Begin without any."""
        self._steps: deque[Step] = deque(maxlen=STEPS)
        self._before: Totals | None = None

    def add(self, at: int, now: Totals) -> None:
        """Take what was counted at the end of a step; the first time only says where counting begins."""
        before, self._before = self._before, now
        if before is None:
            return
        gained = {name: found.since(before.providers.get(name, _NONE)) for name, found in now.providers.items()}
        self._steps.append(
            Step(
                at,
                int(max(0, now.requests - before.requests)),
                int(max(0, now.errors - before.errors)),
                int(max(0, now.refused - before.refused)),
                int(now.in_flight),
                int(now.streams),
                {name: found for name, found in gained.items() if found.calls or found.cost},
            )
        )

    def take(self, steps: Iterable[Step]) -> None:
        """Go on from steps that another process kept."""
        self._steps.extend(steps)

    def after(self, at: int, now: int) -> Sequence[Step]:
        """Return the steps of the last hour that ended after a time, oldest first."""
        return [step for step in self._steps if step.at > max(at, now - STEP * STEPS)]


_NONE: Final = ProviderActivity()


def totals(metrics: Metrics) -> Totals:
    """Add up what was counted so far."""
    found = Totals()
    for sample in metrics.samples(*SAMPLES):
        name, labels, value = sample.name, sample.labels, sample.value
        if name == _REQUESTS:
            found.requests += value
            found.errors += value if int(labels["status"]) >= 500 else 0
            found.refused += value if labels["status"] == "429" else 0
        elif name == names.REQUESTS_IN_FLIGHT.name:
            found.in_flight += value
        elif name == names.STREAMS_IN_FLIGHT.name:
            found.streams += value
        else:
            _add(found.providers.setdefault(labels["provider"], ProviderActivity()), name, labels, value)
    return found


def _add(provider: ProviderActivity, name: str, labels: Mapping[str, str], value: float) -> None:
    if name == _ATTEMPTS and labels["outcome"] != CANCELLED:
        provider.calls += value
        provider.failed += value if labels["outcome"] != "ok" else 0
    elif name == _SECONDS and labels["error_type"] != CANCELLED:
        provider.seconds += value
    elif name == _TOKENS:
        provider.tokens += value
    elif name == _COST:
        provider.cost += value

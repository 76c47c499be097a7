"""Looks at a running gateway: what it says of itself at one time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from orchestrator_core.cli.answers import MOST, Activity, Figures, Health, ProviderRow, Providers, Sessions, Step
from orchestrator_core.cli.asking import Refused, RunningGateway

SLOW_EVERY = 5.0
"""Seconds between two questions for what changes slowly: most gateways bound how often a client asks."""

TOTALS_EVERY = 30.0
"""Seconds between two questions for what the gateway has to ask its database for, or has refused."""

STEPS = 40
"""Steps of activity that are kept: ten minutes."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a gateway said at one time.

    Attributes:
        health: `/api/health`.
        providers: The rows of `/api/providers`.
        samples: What `/metrics` shows; None where the credential may not have it.
        totals: The sessions of `/api/metrics`; None likewise.
        steps: The newest of `/api/activity`, oldest first.
        step: Seconds of each.
        refusal: Why something is not there; None where nothing is missing.
    """

    health: Health
    providers: Sequence[ProviderRow]
    samples: Sequence[Sample] | None
    totals: Sessions | None
    steps: Sequence[Step]
    step: int
    refusal: str | None

    def total(self, name: str, provider: str | None = None) -> float:
        """Add up a metric, of one provider or of all."""
        return sum(
            one.value
            for one in self.samples or ()
            if one.name == name and (provider is None or one.labels.get("provider") == provider)
        )


@dataclass(slots=True)
class Watcher:
    """Looks at a gateway, now and again.

    Attributes:
        gateway: The gateway.
        clock: Monotonic seconds.
    """

    gateway: RunningGateway
    clock: Callable[[], float] = time.monotonic
    _providers: Sequence[ProviderRow] = ()
    _steps: deque[Step] = field(default_factory=lambda: deque(maxlen=STEPS))
    _step: int = 0
    _totals: Sessions | None = None
    _refusal: str | None = None
    _next: dict[str, float] = field(default_factory=dict)

    async def look(self) -> Look:
        """Look once.

        Raises:
            NoAnswer: Nothing answers, it is no gateway, or the credential is wrong.
            AskedTooOften: The gateway takes no more requests for a while.
        """
        health, _ = await asyncio.gather(self.gateway.read("/api/health", Health), self._read_providers())
        samples = await self._read_for_admins()
        return Look(health, self._providers, samples, self._totals, tuple(self._steps), self._step, self._refusal)

    async def _read_providers(self) -> None:
        if self._due("/api/providers"):
            self._providers = (await self.gateway.read("/api/providers", Providers)).providers
            self._asked("/api/providers", SLOW_EVERY)

    async def _read_for_admins(self) -> Sequence[Sample] | None:
        """Read what others may not have. They are not asked for it each time: a refusal is a security event."""
        if self._refusal and not self._due("/metrics"):
            return None
        try:
            samples = await asyncio.to_thread(self._samples, await self.gateway.text("/metrics"))
            if self._due("/api/activity"):
                after = self._steps[-1].at if self._steps else 0
                found = await self.gateway.read(f"/api/activity?after={after}", Activity)
                self._steps.extend(found.steps)
                self._step = found.step
                self._asked("/api/activity", SLOW_EVERY)
            if self._due("/api/metrics"):
                self._totals = (await self.gateway.read("/api/metrics", Figures)).sessions
                self._asked("/api/metrics", TOTALS_EVERY)
        except Refused as error:
            self._refusal = error.message
            self._asked("/metrics", TOTALS_EVERY)
            return None
        self._refusal = None
        return samples

    def _due(self, path: str) -> bool:
        return self.clock() >= self._next.get(path, float("-inf"))

    def _asked(self, path: str, every: float) -> None:
        self._next[path] = self.clock() + every

    def _samples(self, text: str) -> Sequence[Sample]:
        """Read the text of `/metrics`, without the buckets of histograms and what is not known."""
        try:
            families = list(text_string_to_metric_families(text))
        except (LookupError, ValueError):
            raise self.gateway.foreign("no metrics") from None
        found = (one for family in families for one in family.samples)
        return [one for one in found if not one.name.endswith("_bucket") and abs(one.value) <= MOST]

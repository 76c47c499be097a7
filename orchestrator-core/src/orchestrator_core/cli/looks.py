"""Looks at a running gateway: what it says of itself at one time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from orchestrator_core.cli.asking import Refused, RunningGateway

TOTALS_EVERY = 30.0
"""Seconds between two questions for what the gateway has to ask its database for."""

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

    health: Mapping[str, Any]
    providers: Sequence[Mapping[str, Any]]
    samples: Sequence[Sample] | None
    totals: Mapping[str, Any] | None
    steps: Sequence[Mapping[str, Any]]
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
    """

    gateway: RunningGateway
    _steps: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=STEPS))
    _totals: Mapping[str, Any] | None = None
    _totals_at: float = field(default=float("-inf"))

    async def look(self) -> Look:
        """Look once.

        Raises:
            NoAnswer: Nothing answers, it is no gateway, or the credential is wrong.
        """
        health, found = await asyncio.gather(self.gateway.json("/api/health"), self.gateway.json("/api/providers"))
        samples, step, refusal = None, 0, None
        try:
            samples = await asyncio.to_thread(_samples, await self.gateway.text("/metrics"))
            step = await self._read_steps()
            if time.monotonic() - self._totals_at >= TOTALS_EVERY:
                self._totals = (await self.gateway.json("/api/metrics"))["sessions"]
                self._totals_at = time.monotonic()
        except Refused as error:
            refusal = error.message
        return Look(health, found["providers"], samples, self._totals, tuple(self._steps), step, refusal)

    async def _read_steps(self) -> int:
        after = self._steps[-1]["at"] if self._steps else 0
        found = await self.gateway.json(f"/api/activity?after={after}")
        self._steps.extend(found["steps"])
        return int(found["step"])


def _samples(text: str) -> Sequence[Sample]:
    """Read the text of `/metrics`, without the buckets of histograms."""
    families = text_string_to_metric_families(text)
    return [one for family in families for one in family.samples if not one.name.endswith("_bucket")]

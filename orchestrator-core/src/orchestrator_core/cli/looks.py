"""Looks at a running gateway: what it says of itself at one time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator_core.cli.asking import Refused, RunningGateway

TOTALS_EVERY = 30.0
"""Seconds between two questions for what the gateway has to ask its database for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A number of `/metrics`."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Look:
    """What a gateway said at one time.

    Attributes:
        at: When, monotonic seconds.
        health: `/api/health`.
        providers: The rows of `/api/providers`.
        samples: What `/metrics` shows; None where the credential may not have it.
        totals: The sessions of `/api/metrics`; None likewise.
        refusal: Why something is not there; None where nothing is missing.
    """

    at: float
    health: Mapping[str, Any]
    providers: Sequence[Mapping[str, Any]]
    samples: Sequence[Sample] | None
    totals: Mapping[str, Any] | None
    refusal: str | None

    def total(self, name: str, accept: Callable[[Mapping[str, str]], bool] = lambda _: True) -> float:
        """Add up a metric."""
        return sum(one.value for one in self.samples or () if one.name == name and accept(one.labels))


@dataclass(slots=True)
class Watcher:
    """Looks at a gateway, now and again.

    Attributes:
        gateway: The gateway.
    """

    gateway: RunningGateway
    _totals: Mapping[str, Any] | None = None
    _totals_at: float = field(default=float("-inf"))

    async def look(self) -> Look:
        """Look once.

        Raises:
            NoAnswer: Nothing answers, it is no gateway, or the credential is wrong.
        """
        health, found = await asyncio.gather(self.gateway.json("/api/health"), self.gateway.json("/api/providers"))
        samples, refusal = None, None
        try:
            samples = await asyncio.to_thread(_samples, await self.gateway.text("/metrics"))
            if time.monotonic() - self._totals_at >= TOTALS_EVERY:
                self._totals = (await self.gateway.json("/api/metrics"))["sessions"]
                self._totals_at = time.monotonic()
        except Refused as error:
            refusal = error.message
        return Look(time.monotonic(), health, found["providers"], samples, self._totals, refusal)


def _samples(text: str) -> Sequence[Sample]:
    """Read the text of `/metrics`, without the buckets of histograms."""
    from prometheus_client.parser import text_string_to_metric_families

    return [
        Sample(one.name, one.labels, one.value)
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if not one.name.endswith("_bucket")
    ]

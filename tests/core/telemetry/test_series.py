"""Series are shown as prometheus-client shows its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_open

from orchestrator_core.telemetry.instruments import ATTEMPTS, LOOP_LAG, REQUEST_SECONDS, REQUESTS_IN_FLIGHT, SHORT, Spec
from orchestrator_core.telemetry.series import Instruments

AMOUNTS = (0.0, *SHORT, *(sum(bounds) / 2 for bounds in pairwise(SHORT)), SHORT[-1] * 2)
TRACE = {"trace_id": "0" * 31 + "1"}
TIME = re.compile(r"(_created\S* |\} [0-9.]+ )[0-9][0-9.e+]+")
"""When a series began, and when an exemplar was."""


def parts(spec: Spec) -> tuple[str, str, tuple[str, ...]]:
    return spec.name, spec.meaning, tuple(spec.labels)


def theirs(registry: CollectorRegistry) -> None:
    counter = Counter(*parts(ATTEMPTS), registry=registry)
    counter.labels("acme", "chat", "ok").inc()
    counter.labels("acme", "chat", 'ü"\\\n').inc(2.5)
    Gauge(*parts(REQUESTS_IN_FLIGHT), registry=registry).inc(-1)
    lag = Histogram(*parts(LOOP_LAG), registry=registry, buckets=LOOP_LAG.buckets)
    for amount in AMOUNTS:
        lag.observe(amount)
    seconds = Histogram(*parts(REQUEST_SECONDS), registry=registry, buckets=REQUEST_SECONDS.buckets)
    seconds.labels("api").observe(0.25, TRACE)


def ours(registry: CollectorRegistry) -> None:
    made = Instruments(registry)
    counter = made.numbers(ATTEMPTS)
    counter["acme", "chat", "ok"].inc()
    counter["acme", "chat", 'ü"\\\n'].inc(2.5)
    made.number(REQUESTS_IN_FLIGHT).inc(-1)
    for amount in AMOUNTS:
        made.histogram(LOOP_LAG).observe(amount)
    made.histograms(REQUEST_SECONDS)["api",].observe(0.25, TRACE)


def shown(fill: Callable[[CollectorRegistry], None], generate: Callable[[CollectorRegistry], bytes]) -> Iterator[str]:
    registry = CollectorRegistry()
    fill(registry)
    names = [spec.name for spec in (ATTEMPTS, REQUESTS_IN_FLIGHT, LOOP_LAG, REQUEST_SECONDS)]
    for line in generate(registry).decode().splitlines():
        if any(name in line for name in names):
            yield TIME.sub(r"\1now", line)


@pytest.mark.parametrize("generate", [generate_latest, generate_open])
def test_what_is_counted_is_shown_as_prometheus_client_shows_it(
    generate: Callable[[CollectorRegistry], bytes],
) -> None:
    lines = sorted(shown(ours, generate))
    assert lines == sorted(shown(theirs, generate))
    assert sum("now" in line for line in lines) >= 4


def test_a_series_that_is_dropped_is_shown_no_more_and_begins_anew() -> None:
    registry = CollectorRegistry()
    counter = Instruments(registry).numbers(ATTEMPTS)
    labels = ("acme", "chat", "ok")
    counter[labels].inc(3)
    counter.drop(labels)
    counter.drop(labels)
    named = dict(zip(ATTEMPTS.labels, labels, strict=True))
    assert registry.get_sample_value(f"{ATTEMPTS.name}_total", named) is None
    counter[labels].inc()
    assert registry.get_sample_value(f"{ATTEMPTS.name}_total", named) == 1

"""What is counted, and how Prometheus is shown it.

prometheus-client's own counters and histograms look at their labels and take a lock at each change, of which a request
makes some twenty; here a change is an addition. What is shown is the same.
"""

from __future__ import annotations

import math
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from orchestrator_core.telemetry.instruments import COUNTERS, GAUGES, HISTOGRAMS, Spec
from orchestrator_core.telemetry.shared_values import shared_number

Kind = Literal["counter", "gauge", "histogram"]

_SHOWS_BEGIN: Final = os.environ.get("PROMETHEUS_DISABLE_CREATED_SERIES", "").lower() not in ("true", "1", "t")
"""Whether it is shown when a counter or a histogram began, which prometheus-client lets its users choose."""


class Number(Protocol):
    """A number that is counted."""

    def inc(self, amount: float = 1.0, /) -> None:
        """Add to it."""
        ...

    def set(self, value: float, /) -> None:
        """Make it another."""
        ...

    def get(self) -> float:
        """Return it."""
        ...


class OwnNumber:
    """A number in which no other process has a part."""

    __slots__ = ("_now",)

    def __init__(self) -> None:
        self._now = 0.0

    def inc(self, amount: float = 1.0, /) -> None:
        """Add to it."""
        self._now += amount

    def set(self, value: float, /) -> None:
        """Make it another."""
        self._now = float(value)

    def get(self) -> float:
        """Return it."""
        return self._now


class Histogram:
    """Amounts, counted by their size."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_sum")

    def __init__(self, bounds: Sequence[float], number: Callable[[str, Mapping[str, str]], Number]) -> None:
        """Begin without any.

        Args:
            bounds: The upper bounds by which they are told apart, from the least to infinity.
            number: Makes a number, by the suffix of its name and the labels that it has beside those of all.
        """
        self._bounds = bounds
        self._sum = number("_sum", {})
        self._counts = [number("_bucket", {"le": _text(bound)}) for bound in bounds]
        self._exemplars: dict[int, Exemplar] = {}

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Count an amount.

        Args:
            amount: The amount.
            exemplar: What leads to an example of it, such as a trace.
        """
        self._sum.inc(amount)
        place = bisect_left(self._bounds, amount)
        self._counts[place].inc()
        if exemplar is not None:
            self._exemplars[place] = Exemplar(exemplar, amount, time.time())

    def samples(self) -> Iterator[Sample]:
        """Yield what is shown; its names are suffixes, its labels those beside the ones of all."""
        count = 0.0
        for place, bound in enumerate(self._bounds):
            count += self._counts[place].get()
            yield Sample("_bucket", {"le": _text(bound)}, count, None, self._exemplars.get(place))
        yield Sample("_count", {}, count)
        yield Sample("_sum", {}, self._sum.get())


def _text(bound: float) -> str:
    text: str = floatToGoString(bound)  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped
    return text


S = TypeVar("S", bound=Number | Histogram)


class Children(dict[tuple[str, ...], S]):
    """The series of a metric by the values of its labels: each is made when it is first asked for.

    Attributes:
        begun: When each was made, in seconds since the epoch.
    """

    def __init__(self, names: Sequence[str], make: Callable[[Mapping[str, str]], S]) -> None:
        """Begin without any; the one of a metric without labels is there from the start.

        Args:
            names: The names of the labels.
            make: Makes a series, by its labels.
        """
        super().__init__()
        self.begun: dict[tuple[str, ...], float] = {}
        self._names = names
        self._make = make
        if not names:
            self[()]  # shown as zero before anything is counted

    def __missing__(self, values: tuple[str, ...]) -> S:
        self.begun[values] = time.time()
        series = self[values] = self._make(self.labels(values))
        return series

    def labels(self, values: tuple[str, ...]) -> dict[str, str]:
        """Return labels by their names."""
        return dict(zip(self._names, values, strict=True))

    def drop(self, values: tuple[str, ...]) -> None:
        """Show a series no more. The files that several processes keep cannot forget one."""
        if self.pop(values, None) is not None:
            del self.begun[values]


class Family(Collector, Generic[S]):
    """A metric of this process alone, as Prometheus is shown it.

    Attributes:
        series: What is counted.
    """

    def __init__(
        self, kind: Kind, spec: Spec, make: Callable[[Mapping[str, str]], S], samples: Callable[[S], Iterator[Sample]]
    ) -> None:
        """Make the metric.

        Args:
            kind: What kind it is.
            spec: Its name, labels and meaning.
            make: Makes a series, by its labels.
            samples: Yields what is shown of a series; see `Histogram.samples`.
        """
        self.series = Children(spec.labels, make)
        self._kind = kind
        self._spec = spec
        self._samples = samples

    def describe(self) -> Iterator[Metric]:
        """Say what there is, without any series."""
        yield Metric(self._spec.name, self._spec.meaning, self._kind)

    def collect(self) -> Iterator[Metric]:
        """Show what was counted. Others may be counting meanwhile."""
        metric = Metric(self._spec.name, self._spec.meaning, self._kind)
        for values, series in self.series.copy().items():
            labels = self.series.labels(values)
            for sample in self._samples(series):
                shown = sample._replace(name=metric.name + sample.name, labels={**labels, **sample.labels})
                metric.samples.append(shown)
            if self._kind != "gauge" and _SHOWS_BEGIN:
                metric.samples.append(Sample(f"{metric.name}_created", labels, self.series.begun[values]))
        yield metric


MakeNumber: TypeAlias = Callable[[str, Spec, str, Mapping[str, str]], Number]
"""Makes a number, by the kind of its metric, that metric, the suffix of its own name, and its labels."""


def _own_number(_kind: str, _spec: Spec, _suffix: str, _labels: Mapping[str, str]) -> Number:
    return OwnNumber()


def _counter(spec: Spec, number: MakeNumber) -> Family[Number]:
    def samples(counted: Number) -> Iterator[Sample]:
        yield Sample("_total", {}, counted.get())

    return Family("counter", spec, lambda labels: number("counter", spec, "_total", labels), samples)


def _gauge(spec: Spec, number: MakeNumber) -> Family[Number]:
    def samples(shown: Number) -> Iterator[Sample]:
        yield Sample("", {}, shown.get())

    kind = f"gauge_{spec.together}"  # by which prometheus-client knows how to put them together
    return Family("gauge", spec, lambda labels: number(kind, spec, "", labels), samples)


def _histogram(spec: Spec, number: MakeNumber) -> Family[Histogram]:
    bounds = (*spec.buckets, math.inf)

    def make(labels: Mapping[str, str]) -> Histogram:
        return Histogram(bounds, lambda suffix, more: number("histogram", spec, suffix, {**labels, **more}))

    return Family("histogram", spec, make, Histogram.samples)


class Instruments:
    """All metrics of one gateway, in a registry."""

    def __init__(self, registry: CollectorRegistry, *, shared: bool = False) -> None:
        """Make them; each begins at zero.

        Args:
            registry: Where they are shown.
            shared: Whether several processes keep their values in files (`share_values`), which are shown in its place.
        """
        number = shared_number if shared else _own_number
        self._numbers = {spec.name: _counter(spec, number) for spec in COUNTERS}
        self._numbers |= {spec.name: _gauge(spec, number) for spec in GAUGES}
        self._histograms = {spec.name: _histogram(spec, number) for spec in HISTOGRAMS}
        for counted in self._numbers.values():
            registry.register(counted)
        for histogram in self._histograms.values():
            registry.register(histogram)

    def number(self, spec: Spec) -> Number:
        """Return a counter or a gauge without labels."""
        return self.numbers(spec)[()]

    def numbers(self, spec: Spec) -> Children[Number]:
        """Return a counter or a gauge by its labels."""
        return self._numbers[spec.name].series

    def histogram(self, spec: Spec) -> Histogram:
        """Return a histogram without labels."""
        return self.histograms(spec)[()]

    def histograms(self, spec: Spec) -> Children[Histogram]:
        """Return a histogram by its labels."""
        return self._histograms[spec.name].series

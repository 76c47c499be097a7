"""What nobody counts, but is read when it is asked for: the version, the uptime, and what the processes take."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

BUILD = "orchestrator_build"
UPTIME = "orchestrator_uptime_seconds"
WANTED = "orchestrator_processes_wanted"

READ = {
    f"{BUILD}_info": "Always 1; the labels `version` and `python` are the versions of the gateway and of Python.",
    UPTIME: "Seconds since the start.",
    WANTED: "Processes that are to serve, on this machine.",
}
"""What is read when it is asked for, beside the figures of the processes."""


class ProcessFigures(Collector):
    """Gives prometheus-client's figures of processes, those of all workers put together, and what is like them.

    Where nobody can tell (outside of Linux), there are none.
    """

    def __init__(self, uptime: Callable[[], float], wanted: Callable[[], int] | None = None) -> None:
        """Prepare to look.

        Args:
            uptime: Tells the seconds since the start.
            wanted: Tells how many workers there are to be, whose parent is the master; None for one process alone.
        """
        self._uptime = uptime
        self._wanted = wanted
        self._build = {"version": version("orchestrator-core"), "python": platform.python_version()}

    def collect(self) -> Iterator[Metric]:
        """Look."""
        yield InfoMetricFamily(BUILD, READ[f"{BUILD}_info"], self._build)
        yield GaugeMetricFamily(UPTIME, READ[UPTIME], self._uptime())
        yield GaugeMetricFamily(WANTED, READ[WANTED], self._wanted() if self._wanted else 1)
        yield from _together(_children(os.getppid()) if self._wanted else [os.getpid()])

    def describe(self) -> Iterator[Metric]:
        """Say nothing before it is asked for: the registry need not look to know that no name comes twice."""
        yield from ()


def _together(processes: Sequence[int]) -> Iterator[Metric]:
    """Yield the figures of processes as if they were one: sums, but for limits and the time of the start."""
    found: dict[str, Metric] = {}
    for process in processes:
        collector = ProcessCollector(pid=_same(process), registry=CollectorRegistry(auto_describe=False))
        for metric in collector.collect():
            first = found.setdefault(metric.name, metric)
            if first is not metric and first.samples and metric.samples:
                one, other = first.samples[0], metric.samples[0]
                combine = min if metric.name in ("process_start_time_seconds", "process_max_fds") else sum
                first.samples[0] = one._replace(value=combine((one.value, other.value)))
    yield from found.values()


def _same(process: int) -> Callable[[], int]:
    return lambda: process


def _children(parent: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return [os.getpid()]

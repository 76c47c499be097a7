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
PROCESSES = "orchestrator_processes"

READ = {
    f"{BUILD}_info": "Always 1; the labels `version` and `python` are the versions of the gateway and of Python.",
    UPTIME: "Seconds since the start.",
    PROCESSES: "Processes that serve, on this machine.",
}
"""What is read when it is asked for, beside the figures of the processes."""


class ProcessFigures(Collector):
    """Gives prometheus-client's figures of processes, those of all workers put together, and what is like them.

    Where nobody can tell (outside of Linux), there are none.
    """

    def __init__(self, uptime: Callable[[], float], *, several: bool) -> None:
        """Prepare to look.

        Args:
            uptime: Tells the seconds since the start.
            several: Whether this process is one of several workers, whose parent is the master.
        """
        self._uptime = uptime
        self._several = several
        self._build = {"version": version("orchestrator-core"), "python": platform.python_version()}

    def collect(self) -> Iterator[Metric]:
        """Look."""
        yield InfoMetricFamily(BUILD, READ[f"{BUILD}_info"], self._build)
        yield GaugeMetricFamily(UPTIME, READ[UPTIME], self._uptime())
        serving = _children(os.getppid()) if self._several else [os.getpid()]
        yield GaugeMetricFamily(PROCESSES, READ[PROCESSES], len(serving))
        yield from _together(serving)

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

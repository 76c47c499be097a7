"""What was measured, as tables with ratios and their spread, and as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks.gateway.load import median
from benchmarks.gateway.machine import Machine
from benchmarks.gateway.scenarios import Cell
from benchmarks.gateway.subjects import GATEWAY_SETTINGS, Subject
from orchestrator_core.config import Settings

Cells = Mapping[str, Mapping[str, Sequence[Cell]]]
"""By scenario and subject, round by round."""

FLOOR = "pass-through"
DIRECT = "direct"
GATEWAY = "gateway"

IDLE = 0.5
"""The load average of a machine that has nothing else to do, at most."""


@dataclass(frozen=True)
class Server:
    """What a server is and costs before it is asked anything.

    Attributes:
        name: Its name in the table.
        version: Its version.
        packages: How many packages its installation consists of; None where that says nothing.
        start_seconds: From its start until it served.
        idle_mib: What it holds before it was asked anything.
        processors: Where its own processes may run.
        stores_processors: Where those of its database and of Redis may, where it has some.
    """

    name: str
    version: str
    packages: int | None
    start_seconds: float
    idle_mib: float
    processors: Sequence[int] = ()
    stores_processors: Sequence[int] = ()

    @classmethod
    def of(cls, subject: Subject) -> Server:
        """Describe a subject that runs."""
        return cls(
            subject.name,
            subject.version,
            subject.packages,
            subject.start_seconds,
            subject.idle,
            subject.processors(),
            subject.stores_processors(),
        )


@dataclass(frozen=True)
class Results:
    """What one comparison came to.

    Attributes:
        title: What it shows.
        floor: The server that the others are compared with.
        cells: What was measured.
        servers: What was measured of the servers themselves.
    """

    title: str
    floor: str
    cells: Cells
    servers: Sequence[Server] = field(default=())


@dataclass(frozen=True)
class Run:
    """When and on what everything was measured.

    Attributes:
        rounds: How many.
        load: The load averages of the machine before it, over 1, 5 and 15 minutes.
        begun: When.
        machine: The machine.
    """

    rounds: int
    load: tuple[float, float, float] = field(default_factory=os.getloadavg)
    begun: datetime = field(default_factory=partial(datetime.now, UTC))
    machine: Machine = field(default_factory=Machine.here)

    @property
    def minutes(self) -> float:
        """How long it has taken so far."""
        return (datetime.now(UTC) - self.begun).total_seconds() / 60

    @property
    def warning(self) -> str:
        """What to know before the figures are believed; empty where there is nothing."""
        busy = self.load[0] > IDLE
        return (
            f"The machine had a load of {self.load[0]:.2f} before: these are no figures of an idle one." if busy else ""
        )


def facts(run: Run) -> Iterator[str]:
    """Yield on what, when and with which settings it was measured."""
    known = Settings.model_fields
    shown = {name: "(one)" if "KEY" in name else value for name, value in GATEWAY_SETTINGS.items()}
    yield (
        f"{run.begun:%Y-%m-%d %H:%M} UTC, {run.rounds} rounds, CPython {platform.python_version()}, "
        f"{os.cpu_count()} processors ({platform.machine()}), load of the machine before {run.load[0]:.2f}."
    )
    if run.warning:
        yield ""
        yield f"**{run.warning}**"
    yield ""
    machine = run.machine
    kind = "a share of the processor" if machine.virtual else "the processor"
    yield f"On {kind} {machine.processor}: {', '.join(machine.caches)}; {machine.memory / 1024:.0f} GiB of memory."
    reads = ", ".join(f"{nanoseconds:.0f} ns in {size:g} MiB" for size, nanoseconds in machine.reads.items())
    yield f"A read whose place the one before told, by Python where the servers run: {reads}."
    yield f"A write of 4 KiB with its sync, where the databases are: {machine.sync:.3f} ms."
    yield ""
    yield "The gateway's settings:"
    yield ""
    yield from (f"- `{name}={value}`" for name, value in shown.items())
    times = ("connect_timeout", "first_event_timeout", "idle_timeout", "total_timeout")
    yield f"- by default, deadlines in seconds: {', '.join(f'{name} {known[name].default:g}' for name in times)}"
    breakers = ("breaker_enabled", "breaker_failure_rate", "breaker_minimum_calls", "breaker_window")
    yield f"- by default, breakers: {', '.join(f'{name} {known[name].default}' for name in breakers)}"
    yield f"- by default, metrics and looks at providers: monitoring_enabled {known['monitoring_enabled'].default}"
    yield "- always: a line of the log for each request; SQLite with `synchronous=FULL`"


def table(results: Results) -> Iterator[str]:
    """Yield the lines of a comparison: the servers, and every figure."""
    yield f"## {results.title}"
    yield ""
    yield "| Server | Version | Packages | Start to served (s) | Idle (MiB) |"
    yield "|---|---|---|---|---|"
    for server in results.servers:
        packages = "" if server.packages is None else str(server.packages)
        times = f"{server.start_seconds:.2f} | {server.idle_mib:.0f}" if server.idle_mib else " | "
        yield f"| {server.name} | {server.version} | {packages} | {times} |"
    yield ""
    places = [line for server in results.servers for line in _places(server)]
    if places:
        yield f"Processors: {', '.join(places)}."
        yield ""
    stored = any(cell.stores for each in results.cells.values() for cells in each.values() for cell in cells)
    names = ["Load", "Server", "Answers/s", "Events/s", "p50 ms", "p99 ms", "First word ms", "CPU µs"]
    names += [*(["Stores CPU µs"] if stored else []), "Memory MiB", "Errors"]
    names += [f"Rate to {results.floor}", f"CPU to {results.floor}"]
    yield f"| {' | '.join(names)} |"
    yield "|---" * len(names) + "|"
    for scenario, subjects in results.cells.items():
        for subject, cells in subjects.items():
            row = [scenario, subject, *_figures(cells, stored=stored)]
            row += [spread(ratios(results, scenario, subject, each)) for each in ("rate", "processor")]
            yield f"| {' | '.join(row)} |"


def _places(server: Server) -> Iterator[str]:
    for name, processors in ((server.name, server.processors), ("its stores", server.stores_processors)):
        if processors:
            yield f"{name} on {' and '.join(map(str, processors))}"


def _figures(cells: Sequence[Cell], *, stored: bool) -> Iterator[str]:
    def middle(measure: str, form: str) -> str:
        return format(median([getattr(cell, measure) for cell in cells]), form)

    yield middle("rate", ",.0f")
    yield middle("events", ",.0f")
    for each in ("p50", "p99", "first"):
        yield middle(each, ".2f")
    yield middle("processor", ",.0f")
    if stored:
        yield middle("stores", ",.0f")
    yield f"{max(cell.memory for cell in cells):.1f}"
    yield str(sum(cell.errors for cell in cells))


def ratios(results: Results, scenario: str, subject: str, measure: str = "rate", to: str | None = None) -> list[float]:
    """Return the ratio of a measure to another subject's of the same round, round by round."""
    cells = results.cells.get(scenario, {})
    mine, others = cells.get(subject, ()), cells.get(to or results.floor, ())
    pairs = [(getattr(one, measure), getattr(other, measure)) for one, other in zip(mine, others, strict=False)]
    return [one / other for one, other in pairs if one and other]


def added(results: Results, scenario: str, measure: str, subject: str = GATEWAY) -> list[float]:
    """Return how much more than the vendor itself a subject takes, round by round."""
    cells = results.cells.get(scenario, {})
    rounds = zip(cells.get(subject, ()), cells.get(DIRECT, ()), strict=False)
    return [getattr(one, measure) - getattr(vendor, measure) for one, vendor in rounds]


def series(
    cells: Cells, pattern: re.Pattern[str], value: Callable[[Cell], float]
) -> Mapping[str, Sequence[tuple[int, float]]]:
    """Return the medians of a value by server, each with the number in the name of its load."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for name, subjects in cells.items():
        if matched := pattern.fullmatch(name):
            for subject, rounds in subjects.items():
                point = int(matched.group(1)), median([value(cell) for cell in rounds])
                lines.setdefault(subject, []).append(point)
    return {subject: sorted(points) for subject, points in lines.items()}


def spread(values: Sequence[float]) -> str:
    """Write a median with the least and the most of the rounds; nothing of nothing."""
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else ""


def write_json(path: Path, found: Sequence[Results], run: Run) -> None:
    """Write every cell of every round, with what they were measured on."""
    machine = {
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "load_before": run.load,
        **asdict(run.machine),
    }
    comparisons = [asdict(results) for results in found]
    written = {"on": machine, "facts": list(facts(run)), "rounds": run.rounds, "comparisons": comparisons}
    path.write_text(json.dumps(written, indent=1) + "\n")

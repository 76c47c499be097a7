"""Measures the gateway beside a bare proxy, in one run. It judges nothing.

    PYTHONPATH=tests python -m benchmarks.gateway [--rounds 5] [--only NAME ...] [--peers DIR] [--folder DIR]

The server that is measured has processor 0 for itself; the vendor and the clients share processor 1. Every round puts
every load on every server of a comparison in turn, so that what else the machine does hits all alike. Linux alone. See
docs/explanation/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.gateway import subjects
from benchmarks.gateway.comparisons import CLIENTS, COMPARISONS, SERVER, Comparison, Place
from benchmarks.gateway.goals import document
from benchmarks.gateway.plots import draw
from benchmarks.gateway.report import Results, Run, Server, write_json
from benchmarks.gateway.scenarios import PACED, Cell, Scenario, chat, measure, rest
from benchmarks.gateway.subjects import Subject

WARMING = Scenario("warming up", 16, chat)
RESTING = 10.0
"""Seconds in which servers are watched that nobody asks anything: of what they do then some is done each ten."""


def main() -> None:
    """Measure, and print tables."""
    arguments = _arguments()
    os.sched_setaffinity(0, SERVER)
    run = Run(arguments.rounds)
    _say(f"Load of the machine before: {', '.join(f'{each:.2f}' for each in run.load)}")
    if run.warning:
        _say(f"WARNING: {run.warning}")
    os.sched_setaffinity(0, CLIENTS)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        vendor = stack.enter_context(subjects.upstream(work, CLIENTS))
        with subjects.gateway("not measured", work / "first", vendor, SERVER):
            _say("A gateway was started that is not measured: it fills the caches")
        environments = arguments.peers and arguments.peers.resolve()
        place = Place(work, environments, vendor, arguments.sessions)
        found: list[Results] = []
        chosen = list(_chosen(arguments.only))
        for number, (comparison, scenarios) in enumerate(chosen, start=1):
            _say(f"{run.minutes:.1f} min, {number} of {len(chosen)}: {comparison.title}: starting the servers")
            with comparison.servers(place) as servers:
                for each in servers:
                    _say(f"  {each.name}: served after {each.start_seconds:.2f} s, {each.idle:.0f} MiB")
                cells = asyncio.run(_measure(servers, scenarios, arguments.rounds))
                described = [Server.of(each) for each in servers]
                found.append(Results(comparison.title, comparison.floor, cells, described))
            if arguments.folder:
                _write(arguments.folder, found, run)
        _say(f"{run.minutes:.1f} min: done")
        sys.stdout.write(document(found, run))


def _write(folder: Path, found: Sequence[Results], run: Run) -> None:
    """Write what is there so far: a run takes long, and what ends it early need not take all with it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.md").write_text(document(found, run))
    write_json(folder / "figures.json", found, run)
    for path in (folder / "figures.md", folder / "figures.json", *draw(folder, found)):
        _say(f"Written: {path}")


def _chosen(only: Sequence[str] | None) -> Iterator[tuple[Comparison, Sequence[Scenario]]]:
    for comparison in COMPARISONS:
        scenarios = [each for each in comparison.scenarios if only is None or each.has_one_of(only)]
        if scenarios:
            yield comparison, scenarios


async def _measure(
    servers: Sequence[Subject], scenarios: Sequence[Scenario], rounds: int
) -> dict[str, dict[str, list[Cell]]]:
    """Put every load on every server, round by round, after one load each that is not counted."""
    cells: dict[str, dict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for subject in servers:
        _say(f"  warming {subject.name} up")
        await measure(subject, WARMING)
    if any(each.base == PACED for each in scenarios):
        await rest(servers, RESTING)
    plan = [
        (number, scenario, subject)
        for number in range(1, rounds + 1)
        for scenario in scenarios
        if scenario.rounds is None or number <= scenario.rounds
        for subject in servers
        if scenario.takes(subject)
    ]
    taken: dict[tuple[str, str], float] = {}
    for done, (number, scenario, subject) in enumerate(plan, start=1):
        begun = time.monotonic()
        cell = await measure(subject, scenario)
        cells[scenario.name][subject.name].append(cell)
        taken[scenario.name, subject.name] = time.monotonic() - begun
        left = sum(taken.get((each.name, one.name), each.usual) for _, each, one in plan[done:])
        where = f"{number}/{rounds}, {left / 60:4.1f} min left"
        _say(f"  {where}  {scenario.name:38} {subject.name:34}{cell.summary}")
    return {name: dict(found) for name, found in cells.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="loads whose name has one of these words")
    parser.add_argument(
        "--peers",
        type=Path,
        metavar="DIR",
        help="other products too; their environments are made in this folder, once, from the package registries",
    )
    parser.add_argument("--sessions", type=int, default=1_000_000, help="of the crowded gateway")
    parser.add_argument("--folder", type=Path, help="where to write the tables, every figure as JSON, and pictures")
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()

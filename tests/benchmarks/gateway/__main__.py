"""Measures the gateway beside a bare proxy, in one run. It judges nothing.

    PYTHONPATH=tests python -m benchmarks.gateway [--rounds 5] [--only NAME ...] [--peers] [--folder DIR]

The server that is measured has processor 0 for itself; the vendor and the clients share processor 1. Every round puts
every load on every server in turn, so that what else the machine does hits all alike. Linux alone. See
docs/explanation/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.gateway import subjects
from benchmarks.gateway.report import Results, tables, write_json
from benchmarks.gateway.scenarios import SCENARIOS, Cell, Scenario, measure
from benchmarks.gateway.subjects import GATEWAY_SETTINGS, Subject

SERVER, CLIENTS = (0,), (1,)
"""The processors of the two sides."""


def main() -> None:
    """Measure, and print tables."""
    arguments = _arguments()
    chosen = [each for each in SCENARIOS if not arguments.only or any(name in each.name for name in arguments.only)]
    os.sched_setaffinity(0, CLIENTS)
    with ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        found = stack.enter_context(_Comparison(folder, peers=arguments.peers))
        results = asyncio.run(found.measure(chosen, arguments.rounds))
        facts = {"settings": dict(GATEWAY_SETTINGS), "rounds": arguments.rounds}
        write_json(folder / "benchmark.json", results, facts)
        for line in tables(results):
            sys.stdout.write(line)
        _say(f"Every cell is in {folder / 'benchmark.json'}." if arguments.folder else "")


class _Comparison(ExitStack):
    """The servers of one run."""

    def __init__(self, folder: Path, *, peers: bool) -> None:
        super().__init__()
        _say("Starting the servers")
        vendor = self.enter_context(subjects.upstream(folder, CLIENTS))
        self.subjects = [
            subjects.direct(vendor),
            self.enter_context(subjects.pass_through(folder, vendor, SERVER)),
            self.enter_context(subjects.gateway("gateway", folder / "gateway", vendor, SERVER)),
        ]
        if peers:
            # Here, because a run without peers does without the environments that they need.
            from benchmarks.gateway.peers import litellm  # noqa: PLC0415

            self.subjects.append(self.enter_context(litellm(folder / "litellm", vendor, SERVER)))
        for subject in self.subjects[1:]:
            _say(f"{subject.name}: served after {subject.start_seconds:.2f} s, {subject.memory():.0f} MiB")

    async def measure(self, scenarios: Sequence[Scenario], rounds: int) -> Results:
        """Put every load on every server, round by round, after one round that is not counted."""
        results: dict[str, dict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
        for subject in self.subjects:
            _say(f"Warming {subject.name} up")
            await measure(subject, SCENARIOS[1])
        for number in range(1, rounds + 1):
            for scenario in scenarios:
                if scenario.rounds is not None and number > scenario.rounds:
                    continue
                for subject in self.subjects:
                    if _takes_part(subject, scenario):
                        cell = await measure(subject, scenario)
                        results[scenario.name][subject.name].append(cell)
                        _say(f"round {number}/{rounds}  {scenario.name:26} {subject.name:14}{cell.summary}")
        return results


def _takes_part(subject: Subject, scenario: Scenario) -> bool:
    """Whether a load is for a server: one for gateways alone has the pass-through's plain answer beside it."""
    if scenario.name.startswith("fallback"):
        return subject.name.startswith("gateway")
    return not scenario.gateways_only or subject.name.startswith(("gateway", "pass-through"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="loads whose name has one of these words")
    parser.add_argument("--peers", action="store_true", help="LiteLLM too, in an environment of its own")
    parser.add_argument("--folder", type=Path, help="where to keep logs and figures")
    return parser.parse_args()


def _say(line: str) -> None:
    if line:
        sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()

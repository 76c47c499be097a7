"""What was measured, as a table with ratios and their spread, and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.gateway.load import median
from benchmarks.gateway.scenarios import Cell

Results = Mapping[str, Mapping[str, Sequence[Cell]]]
"""Cells by scenario and subject, round by round."""

FLOOR = "pass-through"
DIRECT = "direct"
GATEWAY = "gateway"


def tables(results: Results) -> Iterator[str]:
    """Yield the lines of the tables: every figure, then the goals."""
    yield from (f"{line}\n" for line in _figures(results))
    yield "\n"
    yield from (f"{line}\n" for line in _goals(results))


def write_json(path: Path, results: Results, facts: Mapping[str, object]) -> None:
    """Write every cell of every round, with what they were measured on."""
    machine = {"python": platform.python_version(), "processors": os.cpu_count(), "machine": platform.machine()}
    cells = {
        scenario: {subject: [asdict(cell) for cell in found] for subject, found in subjects.items()}
        for scenario, subjects in results.items()
    }
    path.write_text(json.dumps({"on": machine, **facts, "cells": cells}, indent=1) + "\n")


def _figures(results: Results) -> Iterator[str]:
    yield (
        "| Load | Server | Answers/s | Events/s | p50 ms | p99 ms | First byte ms | CPU us | Memory MiB | Errors "
        f"| Rate to {FLOOR} |"
    )
    yield "|---" * 11 + "|"
    for scenario, subjects in results.items():
        for subject, cells in subjects.items():
            row = [
                f"{median([cell.rate for cell in cells]):,.0f}",
                f"{median([cell.events for cell in cells]):,.0f}",
                f"{median([cell.p50 for cell in cells]):.2f}",
                f"{median([cell.p99 for cell in cells]):.2f}",
                f"{median([cell.first for cell in cells]):.2f}",
                f"{median([cell.processor for cell in cells]):.0f}",
                f"{max(cell.memory for cell in cells):.1f}",
                str(sum(cell.errors for cell in cells)),
                _spread(ratios(results, scenario, subject)),
            ]
            yield f"| {scenario} | {subject} | " + " | ".join(row) + " |"


def ratios(results: Results, scenario: str, subject: str, measure: str = "rate", to: str = FLOOR) -> list[float]:
    """Return the ratio of a measure to another subject's of the same round, round by round."""
    mine, others = results[scenario].get(subject, ()), results[scenario].get(to, ())
    pairs = [(getattr(one, measure), getattr(other, measure)) for one, other in zip(mine, others, strict=False)]
    return [one / other for one, other in pairs if other]


def _added(results: Results, scenario: str, measure: str) -> list[float]:
    """Return how much more than the floor a gateway adds to what the vendor itself takes, round by round."""
    cells = results[scenario]
    rounds = zip(cells.get(GATEWAY, ()), cells.get(FLOOR, ()), cells.get(DIRECT, ()), strict=False)
    return [
        (getattr(gateway, measure) - getattr(direct, measure)) / (getattr(floor, measure) - getattr(direct, measure))
        for gateway, floor, direct in rounds
    ]


def _goals(results: Results) -> Iterator[str]:
    yield "| Goal | Wanted | Found (least to most) |"
    yield "|---|---|---|"
    for name, wanted, found in (
        ("chat at c=16, rate to the pass-through's", ">= 0.75", _ratio(results, "chat, c=16")),
        ("chat at c=64, rate to the pass-through's", ">= 0.75", _ratio(results, "chat, c=64")),
        (
            "turn of a session at c=64, rate to a pass-through's answer",
            ">= 0.5",
            _ratio(results, "turn of a session, c=64"),
        ),
        ("stream at c=16, events a second to the pass-through's", ">= 0.6", _ratio(results, "stream, c=16", "events")),
        ("chat at c=1, added p50 to the pass-through's own", "<= 1.4", _sum(results, "chat, c=1", "p50")),
        ("stream at c=1, added time to the first byte", "<= 1.4", _sum(results, "stream, c=1", "first")),
        (
            "1,000 paced streams, processor time to the pass-through's",
            "<= 1.6",
            _ratio(results, "paced streams, 1000", "processor"),
        ),
    ):
        yield f"| {name} | {wanted} | {found} |"
    paced = results.get("paced streams, 1000", {}).get(GATEWAY, ())
    if paced:
        kilobytes = max(cell.memory for cell in paced) * 1024 / 1000
        yield f"| 1,000 paced streams, KB each | < 50 | {kilobytes:.0f} |"
        yield f"| 1,000 paced streams, errors | 0 | {sum(cell.errors for cell in paced)} |"


def _ratio(results: Results, scenario: str, measure: str = "rate") -> str:
    return _spread(ratios(results, scenario, GATEWAY, measure)) if scenario in results else "not measured"


def _sum(results: Results, scenario: str, measure: str) -> str:
    return _spread(_added(results, scenario, measure)) if scenario in results else "not measured"


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else ""

"""Pictures of what was measured: latency against load, and what a turn costs against the length of its history."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.gateway.report import Results, series

mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmark", "font.family": "sans-serif", "font.size": 9})

_LOAD = re.compile(r"chat, c=(\d+)")
_LENGTH = re.compile(r"history of (\d+)")


def draw(folder: Path, found: Sequence[Results]) -> Sequence[Path]:
    """Write the pictures that there are figures for, and return where they are."""
    cells = {name: subjects for results in found for name, subjects in results.cells.items()}
    written = []
    for name, pattern, value, axes in (
        ("latency", _LOAD, lambda cell: cell.p50, ("Clients at once", "Median latency of a chat (ms)")),
        ("history", _LENGTH, lambda cell: cell.processor / 1e3, ("Messages sent", "Processor time of a turn (ms)")),
    ):
        lines = series(cells, pattern, value)
        if lines:
            written.append(folder / f"{name}.svg")
            _draw(written[-1], lines, *axes)
    return written


def _draw(path: Path, lines: Mapping[str, Sequence[tuple[int, float]]], across: str, up: str) -> None:
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for subject, points in lines.items():
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, marker="o", markersize=3.5, linewidth=1.4, label=subject)
    axes.set(xscale="log", yscale="log", xlabel=across, ylabel=up)
    ticks = sorted({x for points in lines.values() for x, _ in points})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(visible=True, linewidth=0.4)
    axes.legend(frameon=False)
    figure.savefig(path, format="svg", metadata={"Date": None})

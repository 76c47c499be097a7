"""Pictures of what was measured: latency against load, and what a turn costs against the length of its history."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.gateway.report import DIRECT, FLOOR, GATEWAY, Results, series

mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmark", "font.family": "sans-serif", "font.size": 9})

_COLOURS = {DIRECT: "tab:gray", FLOOR: "tab:blue", GATEWAY: "tab:red"}
_OTHERS = ("tab:green", "tab:purple", "tab:orange", "tab:brown")
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
    figure = Figure(figsize=(6.8, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.set_prop_cycle(color=_OTHERS)
    for subject, points in lines.items():
        xs, ys = zip(*points, strict=True)
        width = 2.4 if subject == GATEWAY else 1.2
        axes.plot(xs, ys, marker="o", markersize=3.5, linewidth=width, label=subject, color=_COLOURS.get(subject))
    axes.set(xscale="log", yscale="log", xlabel=across, ylabel=up)
    ticks = sorted({x for points in lines.values() for x, _ in points})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(visible=True, linewidth=0.4)
    figure.legend(frameon=False, loc="outside right center")
    drawn = StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    path.write_text(
        re.sub(r"(<svg [^>]*>)", rf"\1\n <title>{up} by {across.lower()}</title>", drawn.getvalue(), count=1)
    )

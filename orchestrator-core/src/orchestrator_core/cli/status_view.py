"""What `orchestrator status` draws of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator_core.cli.gateway_status import NO_KEY
from orchestrator_core.cli.output import styled, visible

_BARS = "▁▂▃▄▅▆▇█"
_BARS_SHOWN = 20
_COLOURS = {"healthy": "green", "degraded": "yellow", "unhealthy": "red"}
_DIM = "dim"


def draw(report: Mapping[str, Any], footer: str | None = None) -> RenderableType:
    """Draw a report.

    Args:
        report: What `gateway_status.report` made.
        footer: What stands below; None is nothing.
    """
    report = _visible(report)
    parts: list[RenderableType] = [_head(report), Text()]
    if "traffic" in report:
        parts.append(_figures(report))
    else:
        parts.append(Text(f"Traffic, cost and limits are not shown. {report['refusal']}", style="yellow"))
    in_use = [row for row in report["providers"] if row["state"] != NO_KEY]
    without = [row["name"] for row in report["providers"] if row["state"] == NO_KEY]
    if in_use:
        parts += [_providers(in_use), *_problems(in_use)]
    else:
        parts.append(Text("No provider has a key. Set one, such as OPENAI_API_KEY.", style="yellow"))
    if without:
        parts.append(Text(f"Without a key: {', '.join(without)}", style=_DIM))
    if footer:
        parts += [Text(), Text(footer, style=_DIM)]
    return Group(*parts)


def _visible(found: Any) -> Any:
    """Write out the control characters of all that a gateway said: `--url` may be anybody's."""
    if isinstance(found, str):
        return visible(found)
    if isinstance(found, Mapping):
        return {visible(name): _visible(each) for name, each in found.items()}
    return [_visible(each) for each in found] if isinstance(found, list) else found


def _head(report: Mapping[str, Any]) -> Text:
    colour = _COLOURS.get(report["status"], "red")
    head = Text.assemble(("● ", colour), (report["status"], f"bold {colour}"), "  ", (report["url"], "bold"))
    head.append(f"  version {report['version']}", style=_DIM)
    if "uptime_seconds" in report:
        head.append(f", up {_span(report['uptime_seconds'])}", style=_DIM)
        if report["processes"] > 1:
            head.append(f", {report['processes']} processes", style=_DIM)
    return head


def _figures(report: Mapping[str, Any]) -> Table:
    """Draw traffic, cost and limits beside each other."""
    traffic, total, active = report["traffic"], report["since_start"], report["active_sessions"]
    over = f"over {_span(traffic['over_seconds'])}" if traffic["over_seconds"] else "not counted yet"
    rate = Text.assemble(f"{traffic['calls_per_second']:.2f}/s  ", (_line(traffic["history"]), "cyan"))
    limits = {name.replace("_", " "): Text(f"{count:,}", style="yellow") for name, count in report["limits"].items()}
    grid = Table.grid(padding=(0, 4))
    grid.add_row(
        _block(
            f"Traffic, {over}",
            {
                "calls": rate,
                "failed": _share(traffic["error_rate"]),
                "took": _seconds(traffic["average_seconds"]),
                "cost": f"{traffic['cost_usd']:,.4f} USD",
                "now": f"{traffic['in_flight']} calls, {traffic['waiting']} waiting, {traffic['streams']} streams",
            },
        ),
        _block(
            "Since the start",
            {
                "requests": f"{total['requests']:,}",
                "tokens": f"{total['tokens']:,}",
                "cost": f"{total['cost_usd']:,.4f} USD",
                "sessions": f"{total['sessions']:,}",
                "active": "-" if active is None else f"{active:,}",
            },
        ),
        _block("Limits and events", limits or {"none": Text()}),
    )
    return grid


def _block(title: str, rows: Mapping[str, Text | str]) -> RenderableType:
    block = Table.grid(padding=(0, 1))
    for name, value in rows.items():
        block.add_row(Text(name, style=_DIM), value)
    return Group(Text(title, style="bold cyan", no_wrap=True), block)


def _providers(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold cyan", border_style=_DIM, pad_edge=False)
    table.add_column("Provider", no_wrap=True)
    table.add_column("State", no_wrap=True)
    for heading in ("Calls", "Failed", "Took", "In flight"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(row["name"]),
            styled(row["state"]),
            "-" if row["calls"] is None else f"{row['calls']:,}",
            _share(row["error_rate"]),
            _seconds(row["average_seconds"]),
            styled(row["in_flight"]),
        )
    return table


def _problems(rows: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Yield what is wrong with providers, a paragraph each."""
    for row in rows:
        left_alone = f"left alone for a while: {', '.join(row['left_alone'])}" if row["left_alone"] else ""
        if wrong := "; ".join(filter(None, (row["reason"], left_alone))):
            yield Text.assemble((row["name"], "bold yellow"), (f"  {wrong}", "yellow"))


def _share(value: float | None) -> Text:
    return Text("-") if value is None else Text(f"{value:.1%}", style="red" if value else "")


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _span(seconds: float) -> str:
    """Return a span of time in its two largest units."""
    days, rest = divmod(round(seconds), 86400)
    units = {"d": days, "h": rest // 3600, "min": rest // 60 % 60, "s": rest % 60}
    said = [f"{count} {unit}" for unit, count in units.items() if count][:2]
    return " ".join(said) or "0 s"


def _line(counts: Sequence[int]) -> str:
    """Draw the newest numbers as one line of bars."""
    shown = counts[-_BARS_SHOWN:]
    most = max(shown, default=0)
    return "".join(_BARS[round(count / most * (len(_BARS) - 1))] if most else _BARS[0] for count in shown)

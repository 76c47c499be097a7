"""How commands show rows: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import click

_BORDER = 3
"""Characters beside each cell."""

_READABLE = 12
"""Characters that a column of sentences has at least, unless it needs less."""


def show(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str,
    columns: Mapping[str, str],
    as_json: bool,
    whole: Collection[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """Print rows: as a table on a terminal, else, or where asked, as a JSON list.

    Args:
        rows: What to show; JSON has every field of them.
        title: What stands above the table.
        columns: Field to heading, for the columns of the table.
        as_json: Whether JSON was asked for.
        whole: Fields that are never broken into lines.
        spare: Fields that a narrow table goes without, in this order.
    """
    if as_json or not sys.stdout.isatty():
        click.echo(json.dumps(list(rows), indent=2, ensure_ascii=False))
        return
    from rich.console import Console  # 30 ms that the JSON form does not need
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    shown = dict(columns)
    widths = {
        field: _least_width(heading, [row.get(field) for row in rows], whole=field in whole)
        for field, heading in columns.items()
    }
    for field in spare:
        if sum(widths[each] + _BORDER for each in shown) + 1 > console.width:
            del shown[field]
    full = sum(max(map(len, (shown[field], *(_cell(row.get(field)) for row in rows)))) + _BORDER for field in shown)
    narrow = full + 1 > console.width
    table = Table(title=title, title_justify="left", header_style="bold")
    for field, heading in shown.items():
        # rich takes from the widest column without regard to what it needs, so that lists must be kept out of it.
        fixed = widths[field] if narrow and any(isinstance(row.get(field), list | tuple) for row in rows) else None
        table.add_column(heading, overflow="fold", min_width=widths[field], width=fixed, no_wrap=field in whole)
    for row in rows:
        table.add_row(*(escape(_cell(row.get(field))) for field in shown))
    console.print(table)
    if missing := [heading for field, heading in columns.items() if field not in shown]:
        click.echo(f"Not shown in {console.width} columns: {', '.join(missing)}. --json has everything.")


def _least_width(heading: str, values: Sequence[Any], *, whole: bool) -> int:
    """Return what a column needs to be readable: lists are broken at their commas alone, sentences anywhere."""
    texts = [heading]
    for value in values:
        if isinstance(value, list | tuple):
            texts += [f"{item}," for item in value]
        elif whole:
            texts.append(_cell(value))
        else:
            texts += _cell(value).split()
    longest = max(map(len, texts))
    lists = any(isinstance(value, list | tuple) for value in values)
    return longest if whole or lists else min(longest, max(len(heading), _READABLE))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item}" for name, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value)

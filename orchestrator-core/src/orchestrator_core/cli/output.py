"""How commands show rows: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click


def show(rows: Sequence[Mapping[str, Any]], *, title: str, columns: Mapping[str, str], as_json: bool) -> None:
    """Print rows: as a table on a terminal, else, or where asked, as a JSON list.

    Args:
        rows: What to show; JSON has every field of them.
        title: What stands above the table.
        columns: Field to heading, for the columns of the table.
        as_json: Whether JSON was asked for.
    """
    if as_json or not sys.stdout.isatty():
        click.echo(json.dumps(list(rows), indent=2, ensure_ascii=False))
        return
    from rich.console import Console  # 30 ms that the JSON form does not need
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(row.get(field))) for field in columns))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value)

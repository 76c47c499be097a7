"""How commands show rows: a coloured table on a terminal, a plain one elsewhere, JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_BORDER = 3
"""Characters beside each cell."""

_READABLE = 12
"""Characters that a column of sentences has at least, unless it needs less."""

_GAP = "  "
"""Between the columns of a plain table."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d\.\d+Z")

_STYLES = {
    "green": ("active", "complete", "healthy", "usable", "valid", "yes"),
    "yellow": ("closed", "degraded", "half_open", "interrupted"),
    "red": (
        "clash",
        "expired",
        "failed",
        "foreign",
        "malformed",
        "open",
        "placeholder",
        "quarantined",
        "revoked",
        "unhealthy",
    ),
    "dim": ("-", "no"),
}
_STYLE_OF = {word: style for style, words in _STYLES.items() for word in words}


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_CONTROLS_OF_TEXT = {code: text for code, text in _CONTROLS.items() if chr(code) not in "\n\t"}
_CONTROLS_OF_JSON = {code: f"\\u{code:04x}" for code in range(127, 160)}


def visible(text: str, *, lines: bool = False) -> str:
    """Return a text with its control characters written out: what clients and models say must not reach a terminal.

    Args:
        text: The text.
        lines: Whether line breaks and tabs stay as they are.
    """
    return text.translate(_CONTROLS_OF_TEXT if lines else _CONTROLS)


def show(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str,
    columns: Mapping[str, str],
    as_json: bool,
    empty: str,
    whole: Collection[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """Print rows as a table, or as a JSON list. A table on a terminal has no columns that say nothing.

    Args:
        rows: What to show; JSON has every field of them.
        title: What stands above the table on a terminal.
        columns: Field to heading, for the columns of the table.
        as_json: Whether JSON was asked for.
        empty: What a person is told, on standard error, where there are no rows.
        whole: Fields that are never broken into lines.
        spare: Fields that a narrow terminal goes without, in this order.
    """
    if as_json:
        show_json(list(rows))
    elif not rows:
        click.echo(empty, err=True)
    elif sys.stdout.isatty():
        _show_on_terminal(rows, title, columns, whole, spare)
    else:
        for line in _plain_lines(rows, columns):
            click.echo(line)


def show_json(found: Any) -> None:
    """Print something as JSON."""
    # JSON escapes the control characters of ASCII itself.
    click.echo(json.dumps(found, indent=2, ensure_ascii=False).translate(_CONTROLS_OF_JSON))


def terminal(*, stderr: bool = False) -> Console:
    """Return standard output or standard error as rich writes to it: it knows the width, and keeps to NO_COLOR."""
    from rich.console import Console  # 30 ms that plain forms do not need

    return Console(stderr=stderr, highlight=False)


def cell(value: Any) -> str:
    """Return a value as a table has it; times to the minute, in UTC."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping):
        found = (f"{visible(str(name))} {cell(item)}" for name, item in value.items() if item is not None)
        return ", ".join(found) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(visible(str(item)) for item in value) or "-"
    text = visible(" ".join(str(value).splitlines()))
    return f"{time[1]} {time[2]}" if (time := _TIME.fullmatch(text)) else text


def styled(value: Any) -> Text:
    """Return a value as a table on a terminal has it: words that tell of a state have a colour."""
    from rich.text import Text

    shown = cell(value)
    return Text(shown, style=_STYLE_OF.get(shown, ""))


def _plain_lines(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> Iterable[str]:
    """Yield the lines of a table without any width, for files, pipes and `grep`."""
    lines = [[heading.upper() for heading in columns.values()]]
    lines += [[cell(row.get(field)) for field in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield _GAP.join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


def _show_on_terminal(
    rows: Sequence[Mapping[str, Any]],
    title: str,
    columns: Mapping[str, str],
    whole: Collection[str],
    spare: Sequence[str],
) -> None:
    from rich import box
    from rich.table import Table

    console = terminal()
    said = {field for field in columns if any(row.get(field) not in (None, "", [], ()) for row in rows)}
    shown = {field: heading for field, heading in columns.items() if field in said}
    least = {
        field: _least_width(heading, [row.get(field) for row in rows], whole=field in whole)
        for field, heading in shown.items()
    }
    for field in spare:
        if field in shown and sum(least[each] + _BORDER for each in shown) + 1 > console.width:
            del shown[field]
    full = {field: max(map(len, (shown[field], *(cell(row.get(field)) for row in rows)))) for field in shown}
    widths = _fit({field: least[field] for field in shown}, full, console.width - 1 - _BORDER * len(shown))
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold cyan", border_style="dim")
    table.box = box.ROUNDED
    for field, heading in shown.items():
        justify: Any = "right" if _are_numbers(row.get(field) for row in rows) else "left"
        table.add_column(heading, overflow="fold", width=widths[field], no_wrap=field in whole, justify=justify)
    for row in rows:
        table.add_row(*(styled(row.get(field)) for field in shown))
    console.print(table)
    if missing := [heading for field, heading in columns.items() if field in said and field not in shown]:
        click.echo(f"Not shown in {console.width} columns: {', '.join(missing)}. --json has everything.", err=True)


def _fit(least: Mapping[str, int], full: Mapping[str, int], available: int) -> Mapping[str, int]:
    """Give each column what it needs, and what is left to those that lack the most."""
    widths = dict(least)
    for _ in range(available - sum(widths.values())):
        lacking = max(widths, key=lambda field: full[field] - widths[field])
        if widths[lacking] >= full[lacking]:
            break
        widths[lacking] += 1
    return widths


def _are_numbers(values: Iterable[Any]) -> bool:
    found = [value for value in values if value is not None]
    return bool(found) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in found)


def _least_width(heading: str, values: Sequence[Any], *, whole: bool) -> int:
    """Return what a column needs to be readable: lists are broken at their commas alone, sentences anywhere."""
    texts = [heading]
    for value in values:
        if isinstance(value, list | tuple):
            texts += [f"{item}," for item in value]
        elif whole:
            texts.append(cell(value))
        else:
            texts += cell(value).split()
    longest = max(map(len, texts))
    lists = any(isinstance(value, list | tuple) for value in values)
    return longest if whole or lists else min(longest, max(len(heading), _READABLE))

"""`orchestrator usage`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from orchestrator_core.cli.offered import provider_names
from orchestrator_core.cli.options import config_option, json_option, read_config
from orchestrator_core.cli.output import show
from orchestrator_core.cli.usage import Command

DIMENSIONS = ("day", "tenant", "user_id", "client", "provider", "model", "operation")
COLUMNS = {"calls": "Calls", "total_tokens": "Tokens", "cost": "USD", "unpriced_calls": "Without a price"}
DAYS = 30
LIMIT = 10_000

_day = click.DateTime(["%Y-%m-%d"])


@click.command(cls=Command)
@click.option(
    "--by", default="day,provider", show_default=True, help=f"Split by these, with commas: {', '.join(DIMENSIONS)}."
)
@click.option("--since", type=_day, help=f"The first day, UTC.  [default: {DAYS} days up to the last]")
@click.option("--until", type=_day, help="The last day, UTC.  [default: today]")
@click.option("--user", "user_id", help="Only calls of this user.")
@click.option("--client", help="Only calls of this client key, by its public id.")
@click.option("--provider", shell_complete=provider_names, help="Only calls to this provider.")
@click.option("--model", help="Only calls to this model.")
@click.option("--tenant", help="Only calls of this tenant.")
@json_option
@config_option
def usage(
    by: str,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
    config_file: Path | None,
    **given: str | None,
) -> None:
    """Show tokens and costs.

    Works while a gateway serves.

    \b
    Examples:
      orchestrator usage
      orchestrator usage --by user_id,model --since 2026-11-01 --json

    Exit codes: 0 done, 1 the database cannot be read, 2 wrong usage, 78 wrong configuration.
    """
    names = [name.strip() for name in by.split(",") if name.strip()]
    if not set(names) <= set(DIMENSIONS) or len(set(names)) < len(names):
        raise click.UsageError(f"--by takes each of {', '.join(DIMENSIONS)} once, separated by commas.")
    last = (until or datetime.now(UTC)).date()
    first = since.date() if since else last - timedelta(days=DAYS - 1)
    if first > last:
        raise click.UsageError("--since must not be later than --until.")
    rows, more = asyncio.run(_rows(config_file, names, {**given, "since": first, "until": last}))
    columns = {name: name.replace("_id", "").capitalize() for name in names} | COLUMNS
    if more:
        click.echo(f"Only the first {LIMIT} rows are shown. Narrow the days down, or split by less.", err=True)
    show(
        rows,
        title=f"Usage from {first} to {last}",
        columns=columns,
        as_json=as_json,
        empty=f"No provider was called from {first} to {last}. --since and --until choose other days.",
        whole=tuple(columns),
    )


async def _rows(config_file: Path | None, by: Any, given: Any) -> tuple[list[dict[str, Any]], bool]:
    from orchestrator_core.cli.stored import stored
    from orchestrator_core.server.routes.usage import usage_row
    from orchestrator_core.sessions.bills import UsageFilter

    async with stored(read_config(config_file), "read") as store:
        page = await store.usage(None, by=by, matching=UsageFilter(**given), limit=LIMIT)
    return [usage_row(total) for total in page.items], page.has_more

"""`orchestrator sessions`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import click

from orchestrator_core.cli.offered import session_ids
from orchestrator_core.cli.options import config_option, json_option, read_config, span
from orchestrator_core.cli.output import show as show_rows
from orchestrator_core.cli.usage import Group

COLUMNS = {
    "session_id": "Session",
    "user_id": "User",
    "status": "Status",
    "message_count": "Messages",
    "created_at": "Created, UTC",
    "last_turn_at": "Last turn, UTC",
}
TURN_COLUMNS = {
    "turn_id": "Turn",
    "state": "State",
    "provider": "Provider",
    "model": "Model",
    "tokens": "Tokens",
    "cost": "USD",
    "error_code": "Error",
}

tenant_option = click.option("--tenant", default="default", show_default=True, help="Whose conversations.")
status_option = click.option(
    "--status", type=click.Choice(["active", "expired", "closed"]), help="Only those that are so."
)


def _age(_context: click.Context, _param: click.Parameter, value: str | None) -> timedelta | None:
    """Read a span of time, such as 30d."""
    if value is None:
        return None
    if (age := span(value)) is not None:
        return age
    raise click.BadParameter("expected a number and m, h, d or w, such as 30d.")


def _pairs(_context: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Read pairs of names and values."""
    if not all("=" in value for value in values):
        raise click.BadParameter("expected NAME=VALUE, such as topic=engines.")
    return dict(value.partition("=")[::2] for value in values)


@click.group(cls=Group)
def sessions() -> None:
    """Look at conversations, move them, or delete them.

    Listing, showing and exporting work while a gateway serves. Importing and purging write: with SQLite no gateway may
    be serving then.
    """


@sessions.command("list")
@click.option("--user", "user_id", help="Only those with this label.")
@status_option
@click.option(
    "--metadata",
    "-m",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="Only those whose metadata say so; repeatable.",
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many at most.")
@tenant_option
@json_option
@config_option
def list_(
    user_id: str | None,
    status: str | None,
    metadata: dict[str, str],
    limit: int,
    tenant: str,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """List sessions, newest first.

    \b
    Examples:
      orchestrator sessions list --user ada
      orchestrator sessions list --status expired -m topic=engines --json

    Exit codes: 0 done, 1 the database cannot be read, 78 wrong configuration.
    """
    from orchestrator_core.cli.session_work import session_rows

    rows = asyncio.run(session_rows(read_config(config_file), tenant, user_id, status, metadata, limit))
    show_rows(
        rows,
        title="Sessions",
        columns=COLUMNS,
        as_json=as_json,
        empty="No session matches. Sessions belong to a tenant: --tenant names another.",
        whole=("session_id",),
        spare=("created_at",),
    )


@sessions.command()
@click.argument("session_id", shell_complete=session_ids)
@tenant_option
@json_option
@config_option
def show(session_id: str, tenant: str, as_json: bool, config_file: Path | None) -> None:
    """Show a session and its turns.

    \b
    Examples:
      orchestrator sessions show sess_019a7c3e51f20a1b2c3d4e5f60718293

    Exit codes: 0 done, 1 there is none, 78 wrong configuration.
    """
    from orchestrator_core.cli.session_work import turn_rows

    title, rows = asyncio.run(turn_rows(read_config(config_file), tenant, session_id))
    show_rows(
        rows,
        title=title,
        columns=TURN_COLUMNS,
        as_json=as_json,
        empty=f"{title}. It has no turn yet.",
        whole=("turn_id",),
        spare=("model",),
    )


@sessions.command()
@click.argument("session_id", shell_complete=session_ids)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Write to this file."
)
@tenant_option
@config_option
def export(session_id: str, output: Path | None, tenant: str, config_file: Path | None) -> None:
    """Write a session as lines of JSON.

    \b
    Examples:
      orchestrator sessions export sess_019a7c3e51f20a1b2c3d4e5f60718293 -o conversation.jsonl

    Exit codes: 0 done, 1 there is none, 78 wrong configuration.
    """
    from orchestrator_core.cli.session_work import export as write

    asyncio.run(write(read_config(config_file), tenant, session_id, output))


@sessions.command("import")
@click.argument("file", type=click.File("rb"))
@tenant_option
@config_option
def import_(file: BinaryIO, tenant: str, config_file: Path | None) -> None:
    """Make a session of a FILE that was exported; - is standard input.

    \b
    Examples:
      orchestrator sessions import conversation.jsonl

    Exit codes: 0 done, 1 the file is wrong or the database in use, 78 wrong configuration.
    """
    from orchestrator_core.cli.session_work import import_ as read

    click.echo(asyncio.run(read(read_config(config_file), tenant, file.read())))


@sessions.command()
@click.option("--older-than", callback=_age, metavar="AGE", help="Without a turn for so long, such as 30d.")
@click.option("--user", "user_id", help="Only those with this label.")
@status_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@tenant_option
@config_option
def purge(
    older_than: timedelta | None,
    user_id: str | None,
    status: str | None,
    yes: bool,
    tenant: str,
    config_file: Path | None,
) -> None:
    """Delete sessions with all that was said in them, for good.

    Totals of usage stay: they hold labels and numbers only.

    \b
    Examples:
      orchestrator sessions purge --older-than 30d --status expired
      orchestrator sessions purge --user ada --yes

    Exit codes: 0 done, 1 not confirmed or the database in use, 2 nothing was chosen, 78 wrong configuration.
    """
    if older_than is None and user_id is None and status is None:
        raise click.UsageError("Say which: --older-than, --user or --status.")
    from orchestrator_core.cli.session_work import purge as delete

    since = None if older_than is None else datetime.now(UTC) - older_than
    asyncio.run(delete(read_config(config_file), tenant, user_id, status, since, ask=not yes))

"""`orchestrator db`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from orchestrator_core.cli.options import config_option, json_option, read_config
from orchestrator_core.cli.output import show_json
from orchestrator_core.cli.usage import Group


@click.group(cls=Group)
def db() -> None:
    """Look at the database's schema, or upgrade it."""


@db.command()
@json_option
@config_option
def current(as_json: bool, config_file: Path | None) -> None:
    """Say which schema the database has, and which this version needs.

    \b
    Examples:
      orchestrator db current
      orchestrator db current --json | jq .newest

    Exit codes: 0 it is the newest, 1 it is not or cannot be read, 78 wrong configuration.
    """
    from orchestrator_core.sessions.schema import HEAD, revision_of

    revision = asyncio.run(revision_of(read_config(config_file).settings.database_url))
    if as_json:
        show_json({"schema": revision, "needed": HEAD, "newest": revision == HEAD})
    else:
        click.echo(f"The database has {_named(revision)}; this version needs {HEAD}.")
    if revision != HEAD:
        click.echo("Run `orchestrator db upgrade`.", err=True)
        raise click.exceptions.Exit(1)


@db.command()
@config_option
def upgrade(config_file: Path | None) -> None:
    """Bring the database to the schema that this version needs.

    One transaction: it is done whole or not at all, and takes as long as it needs. With SQLite no gateway may be
    serving; with PostgreSQL stop the gateways of the older version first.

    \b
    Examples:
      orchestrator db upgrade

    Exit codes: 0 done, 1 it could not be done, 78 wrong configuration.
    """
    from orchestrator_core.cli.progress import reported
    from orchestrator_core.sessions.schema import HEAD, REVISIONS, revision_of, upgrade_to_head

    url = read_config(config_file).settings.database_url
    before = asyncio.run(revision_of(url))
    if before == HEAD:
        click.echo(f"The database has {HEAD} already; nothing to do.")
        return
    steps = REVISIONS[REVISIONS.index(before) + 1 :] if before in REVISIONS else REVISIONS
    click.echo(f"The database has {_named(before)}. Applying {', '.join(steps)} ...")
    asyncio.run(reported(upgrade_to_head(url), "Upgrading"))
    click.echo(f"Done: the database has {HEAD}.")


def _named(revision: str | None) -> str:
    return "no schema" if revision is None else revision

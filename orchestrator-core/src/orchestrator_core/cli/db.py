"""`orchestrator db`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from orchestrator_core.cli.options import config_option, read_config
from orchestrator_core.cli.usage import Group

REPORT_EVERY = 5.0
"""Seconds."""


@click.group(cls=Group)
def db() -> None:
    """Look at the database's schema, or upgrade it."""


@db.command()
@config_option
def current(config_file: Path | None) -> None:
    """Say which schema the database has, and which this version needs.

    \b
    Examples:
      orchestrator db current

    Exit codes: 0 it is the newest, 1 it is not or cannot be read, 78 wrong configuration.
    """
    from orchestrator_core.sessions.schema import HEAD, revision_of

    revision = asyncio.run(revision_of(read_config(config_file).settings.database_url))
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
    from orchestrator_core.sessions.schema import HEAD, REVISIONS, revision_of, upgrade_to_head

    url = read_config(config_file).settings.database_url
    before = asyncio.run(revision_of(url))
    if before == HEAD:
        click.echo(f"The database has {HEAD} already; nothing to do.")
        return
    steps = REVISIONS[REVISIONS.index(before) + 1 :] if before in REVISIONS else REVISIONS
    click.echo(f"The database has {_named(before)}. Applying {', '.join(steps)} ...")
    asyncio.run(_reported(upgrade_to_head(url)))
    click.echo(f"Done: the database has {HEAD}.")


async def _reported(work: Coroutine[Any, Any, None]) -> None:
    """Do what takes long, and say every few seconds that it goes on."""
    begun = time.monotonic()
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait([task], timeout=REPORT_EVERY))[0]:
            click.echo(f"Still at work after {time.monotonic() - begun:.0f} seconds ...", err=True)
    finally:
        task.cancel()
        await asyncio.wait([task])
    await task


def _named(revision: str | None) -> str:
    return "no schema" if revision is None else revision

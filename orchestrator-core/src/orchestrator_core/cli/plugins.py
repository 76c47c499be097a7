"""`orchestrator plugins`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from orchestrator_core.cli.options import config_option, json_option, read_config
from orchestrator_core.cli.output import show
from orchestrator_core.cli.usage import Command

COLUMNS = {
    "name": "Plugin",
    "distribution": "Distribution",
    "version": "Version",
    "contract": "Contract",
    "hooks": "Hooks",
    "state": "State",
    "reason": "Reason",
}
WHOLE = ("name", "distribution", "version", "contract", "state")
SPARE = ("hooks", "contract", "version", "distribution")


@click.command(cls=Command)
@json_option
@config_option
def plugins(as_json: bool, config_file: Path | None) -> None:
    """List the installed provider plugins.

    Those that cannot be used are listed too, with why. Needs no key, and works even when two plugins claim the
    same name.

    \b
    Examples:
      orchestrator plugins
      orchestrator plugins --json | jq '.[] | select(.state != "usable")'

    Exit codes: 0 every plugin is usable, 1 one is not, 78 wrong configuration.
    """
    from orchestrator_core.cli.inspection import plugin_rows

    rows = asyncio.run(plugin_rows(read_config(config_file)))
    show(rows, title="Plugins", columns=COLUMNS, as_json=as_json, whole=WHOLE, spare=SPARE)
    if any(row["state"] != "usable" for row in rows):
        raise click.exceptions.Exit(1)

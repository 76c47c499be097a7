"""`orchestrator plugins`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from orchestrator_core.cli.offered import provider_names
from orchestrator_core.cli.options import config_option, json_option, read_config
from orchestrator_core.cli.output import show, show_json
from orchestrator_core.cli.providers import NO_PLUGIN
from orchestrator_core.cli.usage import Group

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


@click.group(cls=Group, invoke_without_command=True)
@json_option
@config_option
@click.pass_context
def plugins(context: click.Context, as_json: bool, config_file: Path | None) -> None:
    """List the installed provider plugins, or examine them.

    Those that cannot be used are listed too, with why. Needs no key, and works even when two plugins claim the
    same name.

    \b
    Examples:
      orchestrator plugins
      orchestrator plugins --json | jq '.[] | select(.state != "usable")'
      orchestrator plugins doctor

    Exit codes: 0 every plugin is usable, 1 one is not, 78 wrong configuration.
    """
    if context.invoked_subcommand is not None:
        return
    from orchestrator_core.cli.inspection import plugin_rows

    rows = asyncio.run(plugin_rows(read_config(config_file)))
    show(rows, title="Plugins", columns=COLUMNS, as_json=as_json, empty=NO_PLUGIN, whole=WHOLE, spare=SPARE)
    if any(row["state"] != "usable" for row in rows):
        raise click.exceptions.Exit(1)


@plugins.command()
@click.argument("name", required=False, shell_complete=provider_names)
@json_option
@config_option
def doctor(name: str | None, as_json: bool, config_file: Path | None) -> None:
    """Examine the installed plugins, or the one called NAME.

    Says for each why it does not load or what it fails, and what to do: its contract, card, hooks, settings and key
    formats, what importing it does, and whether its configured keys have the right form. Asks no provider.

    \b
    Examples:
      orchestrator plugins doctor
      orchestrator plugins doctor acme --json

    NAME is what callers or the entry point call it, or its distribution.

    Exit codes: 0 every plugin is sound, 1 one is not, or none is installed or called NAME, 78 wrong configuration.
    """
    from orchestrator_core.cli.doctor import diagnose
    from orchestrator_core.cli.progress import reported

    rows = asyncio.run(reported(diagnose(read_config(config_file), name), "Examining the plugins"))
    if name is not None and not any(row["distribution"] for row in rows):
        raise click.ClickException("No installed plugin has this name: `orchestrator plugins` lists those that are.")
    if as_json:
        show_json(rows)
    elif not rows:
        click.echo(NO_PLUGIN, err=True)
    else:
        for line in _report(rows):
            click.echo(line)
    if not rows or not all(row["sound"] for row in rows):
        raise click.exceptions.Exit(1)


def _report(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        package = f" ({row['distribution']} {row['version']})" if row["distribution"] else ""
        count = len(row["problems"])
        found = f"{count} problem{'s' if count > 1 else ''}" if count else "sound"
        yield f"{row['name']}{package}: {click.style(found, fg='red' if count else 'green')}"
        for each in row["problems"]:
            yield f"  {each['check']}: {each['problem']}"
            yield click.style(f"    -> {each['cure']}", fg="cyan")
        yield from (click.style(f"  note: {note}", dim=True) for note in row["notes"])

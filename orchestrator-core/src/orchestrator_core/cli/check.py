"""`orchestrator check`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import click

from orchestrator_core.cli.options import config_option, json_option, read_config
from orchestrator_core.cli.output import show_json
from orchestrator_core.cli.usage import Command

EXIT_REFUSED = 78
"""As `orchestrator serve` would end."""


@click.command(cls=Command)
@click.option(
    "--environment",
    type=click.Choice(["development", "staging", "production"]),
    help="Judge as there.  [default: ENVIRONMENT, else development]",
)
@json_option
@config_option
def check(environment: str | None, as_json: bool, config_file: Path | None) -> None:
    """Say whether the gateway would start, and what is unsafe.

    It checks what `orchestrator serve` checks, with the same words and without any value, and starts nothing: no
    address is bound, no provider is asked, and the database is only asked for client keys, where none is configured.

    \b
    Examples:
      orchestrator check
      orchestrator check --environment production
      orchestrator check --json

    Exit codes: 0 it would start, 2 wrong usage, 78 it would not.
    """
    from orchestrator_core.config import Config, ConfigError
    from orchestrator_core.server.starting import examine, examine_rest

    config: Config | None
    try:
        config = read_config(config_file, {"ENVIRONMENT": environment})
        report = asyncio.run(examine(config))
    except ConfigError as error:
        config, report = error.rest, asyncio.run(examine_rest(error))
    judged = config.settings.environment if config else None
    if as_json:
        found = {
            "environment": judged,
            "starts": not report.reasons,
            "problems": list(report.reasons),
            "warnings": list(report.warnings),
            "report": list(report.lines),
        }
        show_json(found)
    else:
        for line in report.lines:
            click.echo(line)
        _echo("Reasons not to start:", report.reasons, "red")
        _echo("Warnings:", report.warnings, "yellow")
        verb, colour = ("would not start", "red") if report.reasons else ("would start", "green")
        click.secho(f"The gateway {verb}{f' in {judged}' if judged else ''}.", fg=colour, bold=True)
    if report.reasons:
        raise click.exceptions.Exit(EXIT_REFUSED)


def _echo(title: str, found: Iterable[str], colour: str) -> None:
    for number, each in enumerate(found):
        if not number:
            click.secho(title, fg=colour, bold=True)
        click.echo(f"  - {each}")

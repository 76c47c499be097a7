"""`orchestrator providers`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from orchestrator_core.cli.options import config_option, json_option, read_config
from orchestrator_core.cli.output import show
from orchestrator_core.cli.usage import Command

COLUMNS = {
    "name": "Provider",
    "title": "Title",
    "configured": "Configured",
    "healthy": "Healthy",
    "default_model": "Default model",
    "left_alone": "Left alone",
    "capabilities": "Capabilities",
    "detail": "Detail",
}
WHOLE = ("name", "configured", "healthy", "default_model")
SPARE = ("capabilities", "title")
NO_PLUGIN = "No provider plugin is installed. Install one, such as `pip install orchestrator-echo`."


@click.command(cls=Command)
@click.option("--probe", is_flag=True, help="Ask each provider whether it answers. Costs no tokens.")
@json_option
@config_option
def providers(probe: bool, as_json: bool, config_file: Path | None) -> None:
    """List the providers and their models.

    With --probe it also says whether they answer. Where the gateways share a Redis, it says which models they leave
    alone for a while, because too many of their calls failed.

    \b
    Examples:
      orchestrator providers
      orchestrator providers --probe
      orchestrator providers --json | jq '.[].models'

    Exit codes: 0 done, 1 a probe failed, 78 wrong configuration.
    """
    from orchestrator_core.cli.inspection import provider_rows
    from orchestrator_core.cli.progress import reported

    looking = provider_rows(read_config(config_file), probe=probe)
    rows = asyncio.run(reported(looking, "Asking the providers") if probe else looking)
    show(rows, title="Providers", columns=COLUMNS, as_json=as_json, empty=NO_PLUGIN, whole=WHOLE, spare=SPARE)
    if probe and any(row["configured"] and not row["healthy"] for row in rows):
        raise click.exceptions.Exit(1)

"""`orchestrator openapi`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from orchestrator_core.cli.usage import Command


@click.command(cls=Command)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write to this file.  [default: standard output]",
)
def openapi(output: Path | None) -> None:
    """Print the OpenAPI document.

    It is the document of version 3.1 that a gateway serves at /openapi.json; none has to run.

    \b
    Examples:
      orchestrator openapi --output openapi.json
      orchestrator openapi | jq '.paths | keys'
    """
    from orchestrator_core.server.openapi import document  # the server is heavier than `--help` should be

    text = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"Wrote {output}.", err=True)

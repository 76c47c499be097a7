"""`orchestrator keys`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from orchestrator_core.cli.options import config_option, json_option, read_config
from orchestrator_core.cli.output import show
from orchestrator_core.cli.usage import Group

COLUMNS = {"provider": "Provider", "key": "Key", "verdict": "Verdict", "reason": "Reason"}


@click.group(cls=Group)
def keys() -> None:
    """Check the keys of the providers.

    A key is never shown, only its masked form.
    """


@keys.command()
@json_option
@config_option
def check(as_json: bool, config_file: Path | None) -> None:
    """Check the form of every configured key, offline.

    One line for each key: provider, masked key, verdict, and what is wrong with it.

    \b
    Examples:
      orchestrator keys check
      OPENAI_API_KEY_FILE=/run/secrets/openai orchestrator keys check --json

    Exit codes: 0 every key is well-formed, 1 at least one is not, 78 wrong configuration.
    """
    from orchestrator_core.cli.inspection import key_rows

    rows = asyncio.run(key_rows(read_config(config_file)))
    empty = "No provider has a key. Set one, such as OPENAI_API_KEY, in the environment or in .env."
    show(rows, title="Keys", columns=COLUMNS, as_json=as_json, empty=empty, whole=("provider", "key", "verdict"))
    if any(row["verdict"] != "valid" for row in rows):
        raise click.exceptions.Exit(1)

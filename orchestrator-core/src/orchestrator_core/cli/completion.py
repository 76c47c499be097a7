"""`orchestrator completion`."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import get_completion_class

from orchestrator_core.cli.usage import Command

SHELLS = ("bash", "fish", "zsh")
VARIABLE = "_ORCHESTRATOR_COMPLETE"
"""Tells the command that the shell asks, and what; click's own name for it."""


class _Shell(click.Choice[str]):
    """One of the shells; what is none is not repeated, as elsewhere."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in SHELLS:
            self.fail(f"expected one of {', '.join(SHELLS)}.", param, ctx)
        return super().convert(value, param, ctx)


@click.command(cls=Command)
@click.argument("shell", type=_Shell(SHELLS))
def completion(shell: str) -> None:
    """Print the script that lets a SHELL complete this command.

    Commands and options are completed, names of providers and clients, and ids of sessions in a SQLite database.

    \b
    Examples:
      eval "$(orchestrator completion bash)"        # in ~/.bashrc
      eval "$(orchestrator completion zsh)"         # in ~/.zshrc
      orchestrator completion fish > ~/.config/fish/completions/orchestrator.fish

    Exit codes: 0 done, 2 wrong usage.
    """
    from orchestrator_core.cli.group import cli

    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click has all of SHELLS
    # bash's class asks which bash there is, to warn of old ones; the script is the same for all.
    click.echo(made.source_template % made(cli, {}, "orchestrator", VARIABLE).source_vars())

"""The `orchestrator` command. Importing it costs little: each command is imported when it is asked for."""

from __future__ import annotations

from orchestrator_core.cli.group import cli


def main() -> None:
    """Run the command, and end the process with its exit code."""
    cli(prog_name="orchestrator")


__all__ = ["main"]

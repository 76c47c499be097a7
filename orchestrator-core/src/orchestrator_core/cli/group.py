"""The top of the command: which commands there are, what all of them share, and how errors are shown."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from orchestrator_core.cli.usage import Group

COMMANDS = {
    "chat": "orchestrator_core.cli.chat:chat",
    "check": "orchestrator_core.cli.check:check",
    "clients": "orchestrator_core.cli.clients:clients",
    "completion": "orchestrator_core.cli.completion:completion",
    "db": "orchestrator_core.cli.db:db",
    "keys": "orchestrator_core.cli.keys:keys",
    "new-provider": "orchestrator_core.cli.new_provider:new_provider",
    "openapi": "orchestrator_core.cli.openapi:openapi",
    "plugins": "orchestrator_core.cli.plugins:plugins",
    "providers": "orchestrator_core.cli.providers:providers",
    "serve": "orchestrator_core.cli.serve:serve",
    "sessions": "orchestrator_core.cli.sessions:sessions",
    "status": "orchestrator_core.cli.status:status",
    "usage": "orchestrator_core.cli.usage_report:usage",
}
"""Where each command is, as `module:name`."""

HELP = {
    "chat": "Talk to a model in the terminal.",
    "check": "Say whether the gateway would start, and what is unsafe.",
    "clients": "Make, change and revoke the keys of clients.",
    "completion": "Print the script that lets a SHELL complete this command.",
    "db": "Look at the database's schema, or upgrade it.",
    "keys": "Check the keys of the providers.",
    "new-provider": "Write the package of a new provider.",
    "openapi": "Print the OpenAPI document.",
    "plugins": "List the installed provider plugins, or examine them.",
    "providers": "List the providers and their models.",
    "serve": "Run the gateway.",
    "sessions": "Look at conversations, move them, or delete them.",
    "status": "Show how a running gateway is.",
    "usage": "Show tokens and costs.",
}
"""What `--help` says of each command, so that it need not import them."""

EXIT_FAILURE = 1
EXIT_CONFIGURATION = 78
"""`EX_CONFIG` of BSD's sysexits: the configuration has to be changed before another try."""
EXIT_INTERRUPTED = 130


class LazyGroup(Group):
    """A group that imports a command only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101 - tells mypy what getattr cannot
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, HELP[name]) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer commands without importing any, and the options of all of them."""
        found = [
            CompletionItem(name, help=HELP[name]) for name in self.list_commands(ctx) if name.startswith(incomplete)
        ]
        return found + super(click.Group, self).shell_complete(ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; Ctrl+C ends it with an exit code of its own."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from None

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run a command, and turn what it raises into a message and an exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        if isinstance(sys.stdout, io.TextIOWrapper):  # a sign that a terminal does not have must not end a command
            sys.stdout.reconfigure(errors="replace")
        debug = "--debug" in arguments
        if os.environ.get("NO_COLOR"):
            extra.setdefault("color", False)  # rich keeps to it by itself
        try:
            return super().main(arguments, *rest, **extra)
        except Exception as error:  # the last place that can make a message of it
            if debug:
                raise
            code, lines = explain(error)
            for line in lines:
                click.secho(line, fg="red" if line is lines[0] else None, err=True, color=extra.get("color"))
            sys.exit(code)


def explain(error: Exception) -> tuple[int, Sequence[str]]:
    """Say what a person should know of an error.

    Returns:
        The exit code, and the lines to print. None of them holds a key or a value of the configuration.
    """
    from orchestrator_core.config import ConfigError
    from orchestrator_core.provider_api import GatewayError

    if isinstance(error, ConfigError):
        return EXIT_CONFIGURATION, [
            "The configuration cannot be used:",
            *(f"  - {problem}" for problem in error.problems),
        ]
    if isinstance(error, GatewayError):
        return EXIT_FAILURE, [f"Error ({error.code}): {error.message}"]
    if isinstance(error, OSError):
        return EXIT_FAILURE, [f"Error: {error.strerror or type(error).__name__}: {error.filename or 'see --debug'}"]
    return EXIT_FAILURE, [
        f"Error: something went wrong that should not ({type(error).__name__}).",
        "Run the command again with --debug for the details, and report them.",
    ]


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration, 130 interrupted.",
)
@click.version_option(package_name="orchestrator-core", prog_name="orchestrator")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """One gateway in front of every LLM provider.

    Configuration comes from the environment, from .env and from orchestrator.toml in the working directory. Results
    go to standard output, all else to standard error. NO_COLOR keeps colours out.

    \b
    Examples:
      orchestrator serve
      orchestrator chat --provider openai
      orchestrator providers --probe
    """

"""`orchestrator chat`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from orchestrator_core.cli.offered import provider_names, session_ids
from orchestrator_core.cli.options import config_option, read_config
from orchestrator_core.cli.usage import Command


@click.command(cls=Command)
@click.option(
    "--provider",
    "-p",
    shell_complete=provider_names,
    help="Who answers.  [default: ORCHESTRATOR_DEFAULT_PROVIDER, or the only usable one]",
)
@click.option("--model", "-m", help="The model.  [default: the provider's]")
@click.option("--session", "-s", "session_id", shell_complete=session_ids, help="Go on with this session.")
@click.option("--system", help="Instructions that hold for every turn.")
@config_option
def chat(
    provider: str | None,
    model: str | None,
    session_id: str | None,
    system: str | None,
    config_file: Path | None,
) -> None:
    """Talk to a model in the terminal.

    Needs no running gateway. The conversation is kept and can be continued with --session. In it, /provider NAME
    lets another provider go on, /model NAME another model, /cost says what it took, /help lists the rest. Tab
    completes them, and the arrow keys bring back what was typed. Ctrl+C stops an answer, of which is kept what had
    come. Of piped input, each line is a turn.

    \b
    Examples:
      orchestrator chat
      orchestrator chat --provider openai --system "Answer in one sentence."
      echo "What is a monad?" | orchestrator chat --provider echo

    Exit codes: 0 ended, 1 a turn of piped input failed, 78 wrong configuration, 130 Ctrl+C
    twice at the prompt.
    """
    from orchestrator_core.cli.conversation import Conversation, converse  # `--help` does without the gateway

    config = read_config(config_file)
    conversation = Conversation(provider=provider, model=model, session_id=session_id, system=system)
    if sys.stdin.isatty():
        from orchestrator_core.cli.chat_terminal import talk

        talk(config, conversation)
    elif not asyncio.run(converse(config, conversation)):
        raise click.exceptions.Exit(1)

"""`orchestrator chat` on a terminal: lines are edited, remembered and completed by readline."""

from __future__ import annotations

import io
import os
import readline
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import click

from orchestrator_core.cli.background import Background, Stopped
from orchestrator_core.cli.conversation import (
    COMMANDS,
    Conversation,
    note,
    providers_of,
    say_error,
    say_how_to_go_on,
)
from orchestrator_core.cli.parts import open_gateway
from orchestrator_core.cli.progress import Spinner
from orchestrator_core.config import Config
from orchestrator_core.orchestration import Gateway
from orchestrator_core.provider_api import GatewayError

PROMPT = "> "


def talk(config: Config, conversation: Conversation) -> None:
    """Read what a person types and do what it says, until they end it.

    Ctrl+C stops an answer. At the prompt it discards the line, and a second one ends the conversation.

    Raises:
        GatewayError: There is no such session, or the gateway cannot be opened.
        KeyboardInterrupt: Ctrl+C was typed twice at the prompt.
    """
    background = Background(open_gateway(config))
    with ExitStack() as stack:
        with Spinner("Starting"):
            gateway = stack.enter_context(background)
        _prepare(gateway, conversation)
        for stored in background.run(conversation.messages(gateway)):
            if stored.message.role == "user":
                readline.add_history(stored.message.text)
        note("Say something, or /help. Ctrl+C stops an answer, Ctrl+D ends.")
        try:
            for line in _typed():
                try:
                    if not background.run(conversation.handle(gateway, line)):
                        break
                except Stopped:
                    click.echo()
                    note("Stopped. What had come is kept.")
                except GatewayError as error:
                    say_error(error)
        finally:
            say_how_to_go_on(conversation)


def _typed() -> Iterator[str]:
    """Yield what a person types, line by line, until Ctrl+D."""
    interrupted = False
    while True:
        try:
            line = _read()
        except EOFError:
            click.echo()
            return
        except KeyboardInterrupt:
            click.echo()
            if interrupted:
                raise
            interrupted = True
            note("Once more ends.")
        else:
            interrupted = False
            yield line


def _read() -> str:
    if sys.stdout.isatty():
        return input(_prompt()).strip()
    click.echo(PROMPT, nl=False, err=True)  # standard output is a file: it gets the answers alone
    return input().strip()


def _prompt() -> str:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return PROMPT
    # The marks tell readline that what is between them takes no place on the line.
    return f"\001\x1b[1;36m\002{PROMPT}\001\x1b[0m\002"


def _prepare(gateway: Gateway, conversation: Conversation) -> None:
    """Let Tab complete commands, and the names that they take."""
    found: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            found[:] = [name for name in _names(gateway, conversation) if name.startswith(text)]
        return found[state] if state < len(found) else None

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")


def _names(gateway: Gateway, conversation: Conversation) -> list[str]:
    command, space, _ = readline.get_line_buffer().partition(" ")
    if not space:
        return [f"{name} " for name in COMMANDS] if command.startswith("/") else []
    if command == "/provider":
        return providers_of(gateway)
    return conversation.models_of(gateway) if command == "/model" else []

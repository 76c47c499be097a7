"""A conversation in the terminal, with a gateway of its own and no server."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import click

from orchestrator_core.cli.parts import open_gateway
from orchestrator_core.config import Config
from orchestrator_core.orchestration import Gateway
from orchestrator_core.orchestration.requests import Selection, TurnRequest
from orchestrator_core.provider_api import ChatRequest, GatewayError, RefusalDelta, TextDelta, text_message
from orchestrator_core.security.principal import ANONYMOUS

COMMANDS = "/provider NAME  /model NAME  /history  /quit"
PAGE = 100
PROMPT = "> "
MAX_LINE = 65536
"""Bytes; terminals give less at a time."""


@dataclass
class Conversation:
    """Who answers the next turn, and which session it belongs to; None is as for a turn over HTTP.

    Attributes:
        acknowledged: Whether a turn was answered and stored, so that there is something to go on with.
    """

    provider: str | None = None
    model: str | None = None
    session_id: str | None = None
    system: str | None = None
    acknowledged: bool = False

    async def say(self, gateway: Gateway, text: str) -> None:
        """Say something, and print the answer as it comes.

        Raises:
            GatewayError: No provider answered, or the answer broke off.
        """
        system = (text_message("system", self.system),) if self.system else ()
        template = ChatRequest(model="", messages=system, deadline=gateway.deadline(), stream=True)
        turn = TurnRequest(
            selection=Selection(provider=self.provider, model=self.model),
            messages=(text_message("user", text),),
            template=template,
            session_id=self.session_id,
        )
        answer = await gateway.turn(ANONYMOUS, turn)
        self.session_id = answer.session_id
        async with aclosing(answer.events()) as events:
            async for event in events:
                if isinstance(event, TextDelta | RefusalDelta):
                    click.echo(event.text, nl=False)
        click.echo()
        result = await answer.result()
        self.acknowledged = True
        cost = "" if result.cost is None else f", {result.cost:.6f} USD"
        note(f"{result.provider}/{result.model}, {result.duration:.1f} s{cost}")

    async def show(self, gateway: Gateway) -> None:
        """Print everything that was said."""
        if self.session_id is None:
            note("Nothing has been said yet.")
            return
        offset, more = 0, True
        while more:
            page = await gateway.store.history(ANONYMOUS.tenant, self.session_id, limit=PAGE, offset=offset)
            for stored in page.items:
                click.echo(f"{stored.provider or stored.message.role}: {stored.message.text}")
            offset, more = offset + len(page.items), page.has_more

    async def handle(self, gateway: Gateway, line: str) -> bool:
        """Do what a line says; return whether the conversation goes on.

        Raises:
            GatewayError: It could not be done.
        """
        command, _, argument = line.partition(" ")
        match command, argument.strip():
            case "/quit", _:
                return False
            case "/history", _:
                await self.show(gateway)
            case "/provider", name if name:
                self.provider, self.model = gateway.registry.get(name).id, None
                note(f"{self.provider} answers from now on.")
            case "/model", name if name:
                self.model = name
                note(f"{name} answers from now on.")
            case _ if line.startswith("/"):
                note(f"There is: {COMMANDS}")
            case _ if line:
                await self.say(gateway, line)
        return True


async def converse(config: Config, conversation: Conversation, *, interactive: bool) -> bool:
    """Read lines and do what they say, until the input ends.

    Args:
        config: The configuration.
        conversation: Where it begins.
        interactive: Whether a person types: then there is a prompt, and errors do not count.

    Returns:
        Whether all went well.

    Raises:
        asyncio.CancelledError: Ctrl+C.
    """
    well = True
    async with open_gateway(config) as gateway:
        if interactive:
            note(f"Say something. {COMMANDS}")
        try:
            async with aclosing(_typed() if interactive else _piped()) as lines:
                async for line in lines:
                    try:
                        if not await conversation.handle(gateway, line):
                            break
                    except GatewayError as error:
                        well = interactive
                        click.secho(f"Error ({error.code}): {error.message}", fg="red", err=True)
        finally:
            if conversation.acknowledged:
                note(f"Go on with: orchestrator chat --session {conversation.session_id}")
    return well


def note(text: str) -> None:
    """Print something that is no part of the conversation."""
    click.secho(text, dim=True, err=True)


async def _piped() -> AsyncGenerator[str, None]:
    """Yield the lines of a pipe or a file."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        yield line.strip()


async def _typed() -> AsyncGenerator[str, None]:
    """Yield the lines that a person types after a prompt.

    The terminal is read when it has a line, and not in a thread: nothing ends a thread that waits for a line, so that
    Ctrl+C would do nothing until Enter.
    """
    loop, terminal = asyncio.get_running_loop(), sys.stdin.fileno()
    typed = asyncio.Event()
    loop.add_reader(terminal, typed.set)
    line = b""
    try:
        click.echo(PROMPT, nl=False)
        while True:
            await typed.wait()
            typed.clear()
            piece = os.read(terminal, MAX_LINE)
            line += piece
            if line.endswith(b"\n"):
                # What is typed meanwhile stays with the terminal.
                loop.remove_reader(terminal)
                yield line.decode(errors="replace").strip()
                line = b""
                typed.clear()
                loop.add_reader(terminal, typed.set)
                click.echo(PROMPT, nl=False)
            elif not piece:
                return
    finally:
        loop.remove_reader(terminal)
        click.echo()  # the prompt's line

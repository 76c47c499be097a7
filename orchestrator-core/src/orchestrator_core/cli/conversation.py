"""A conversation in the terminal, with a gateway of its own and no server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import click

from orchestrator_core.cli.output import visible
from orchestrator_core.cli.parts import open_gateway
from orchestrator_core.cli.progress import Spinner
from orchestrator_core.config import Config
from orchestrator_core.orchestration import Gateway, reading
from orchestrator_core.orchestration.requests import Selection, TurnRequest
from orchestrator_core.provider_api import (
    ChatRequest,
    GatewayError,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    text_message,
)
from orchestrator_core.security.principal import ANONYMOUS
from orchestrator_core.sessions.models import StoredMessage

COMMANDS = {
    "/provider": "/provider NAME   who answers from now on; without a name, who could",
    "/model": "/model NAME      another model of the provider; without a name, which there are",
    "/history": "/history         what was said",
    "/cost": "/cost            what the conversation took so far",
    "/new": "/new             begin another conversation",
    "/help": "/help            this",
    "/quit": "/quit            end, as Ctrl+D does",
}
"""Each command, and its line of `/help`."""

PAGE = 100


@dataclass
class Conversation:
    """Who answers the next turn, and which session it belongs to; None is as for a turn over HTTP.

    Attributes:
        acknowledged: Whether something of a turn was stored, so that there is something to go on with.
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
            asyncio.CancelledError: It was stopped; what had come is kept.
        """
        system = (text_message("system", self.system),) if self.system else ()
        template = ChatRequest(model="", messages=system, deadline=gateway.deadline(), stream=True)
        turn = TurnRequest(
            selection=Selection(provider=self.provider, model=self.model),
            messages=(text_message("user", text),),
            template=template,
            session_id=self.session_id,
        )
        with Spinner("Waiting for an answer") as spinner:
            answer = await gateway.turn(ANONYMOUS, turn)
            self.session_id, self.acknowledged = answer.session_id, True
            async with reading(answer.batches()) as batches:
                async for events in batches:
                    for event in events:
                        if isinstance(event, TextDelta | RefusalDelta):
                            spinner.stop()
                            click.echo(visible(event.text, lines=True), nl=False)
                        elif isinstance(event, ReasoningDelta):
                            spinner.say("Thinking")
        click.echo()
        result = await answer.result()
        cost = "" if result.cost is None else f", {result.cost:.6f} USD"
        note(f"{result.provider}/{result.model}, {result.duration:.1f} s{cost}")

    async def messages(self, gateway: Gateway) -> list[StoredMessage]:
        """Return everything that was said.

        Raises:
            GatewayError: There is no such session.
        """
        found: list[StoredMessage] = []
        more = self.session_id is not None
        while self.session_id is not None and more:
            page = await gateway.store.history(ANONYMOUS.tenant, self.session_id, limit=PAGE, offset=len(found))
            found += page.items
            more = page.has_more
        return found

    async def handle(self, gateway: Gateway, line: str) -> bool:
        """Do what a line says; return whether the conversation goes on.

        Raises:
            GatewayError: It could not be done.
        """
        command, _, argument = line.partition(" ")
        if command.startswith("/"):
            await self._obey(gateway, command, argument.strip())
        elif line:
            await self.say(gateway, line)
        return command != "/quit"

    async def _obey(self, gateway: Gateway, command: str, name: str) -> None:
        match command:
            case "/provider" if name:
                self.provider, self.model = gateway.registry.get(name).id, None
                note(f"{self.provider} answers from now on.")
            case "/provider":
                note(_named("Providers", providers_of(gateway), self.provider))
            case "/model" if name:
                self.model = name
                note(f"{name} answers from now on.")
            case "/model":
                note(_named("Models", self.models_of(gateway), self.model))
            case "/history":
                for stored in await self.messages(gateway):
                    said = visible(stored.message.text, lines=True)
                    click.echo(f"{stored.provider or stored.message.role}: {said}")
                if self.session_id is None:
                    note("Nothing has been said yet.")
            case "/cost":
                note(await self._cost(gateway))
            case "/new":
                self.session_id, self.acknowledged = None, False
                note("A new conversation begins.")
            case "/help":
                note("\n".join(COMMANDS.values()))
            case _ if command not in COMMANDS:
                note(f"There is no {command}. There are: {' '.join(COMMANDS)}")

    def models_of(self, gateway: Gateway) -> list[str]:
        """Return the models of the provider that answers; `provider/model` of all where none was chosen."""
        if self.provider is None:
            usable = gateway.registry.usable
            return [f"{provider.id}/{model.id}" for provider in usable for model in provider.models]
        return [model.id for model in gateway.registry.get(self.provider).models]

    async def _cost(self, gateway: Gateway) -> str:
        if self.session_id is None:
            return "Nothing has been said yet."
        metrics = await gateway.store.metrics(ANONYMOUS.tenant, self.session_id)
        cost = "no price is known" if metrics.total_cost is None else f"{metrics.total_cost:.6f} USD"
        by = f", answered by {', '.join(metrics.providers_used)}" if metrics.providers_used else ""
        count = f"{metrics.message_count} message{'' if metrics.message_count == 1 else 's'}"
        return f"{count}{by}: {metrics.total_tokens} tokens, {cost}."


async def converse(config: Config, conversation: Conversation) -> bool:
    """Read lines of standard input and do what they say, until it ends.

    Returns:
        Whether all went well.
    """
    well = True
    async with open_gateway(config) as gateway:
        try:
            while line := await asyncio.to_thread(sys.stdin.readline):
                try:
                    if not await conversation.handle(gateway, line.strip()):
                        break
                except GatewayError as error:
                    well = False
                    say_error(error)
        finally:
            say_how_to_go_on(conversation)
    return well


def providers_of(gateway: Gateway) -> list[str]:
    """Return the names of the providers that can be asked."""
    return [provider.id for provider in gateway.registry.usable]


def note(text: str) -> None:
    """Print something that is no part of the conversation."""
    click.secho(visible(text, lines=True), dim=True, err=True)


def say_error(error: GatewayError) -> None:
    """Print what went wrong with a turn."""
    click.secho(visible(f"Error ({error.code}): {error.message}"), fg="red", err=True)


def say_how_to_go_on(conversation: Conversation) -> None:
    """Print the command that continues a conversation, where there is one."""
    if conversation.acknowledged:
        note(f"Go on with: orchestrator chat --session {conversation.session_id}")


def _named(title: str, names: Iterable[str], chosen: str | None) -> str:
    return f"{title}: {', '.join(f'{name} (answers)' if name == chosen else name for name in names) or 'none'}"

"""What of a stateless request is the new turn of a session."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_core.provider_api import Message
from orchestrator_core.server.translate.fields import invalid


def split_turn(messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
    """Split a request that joins a session into what holds for the turn and what is said in it.

    Args:
        messages: The messages of the request. Those up to its last assistant message are the client's own copy of
            a history that the gateway keeps.

    Returns:
        All system messages; and the messages after the last assistant message.

    Raises:
        InvalidRequest: Nothing is said after the last assistant message.
    """
    system = [message for message in messages if message.role == "system"]
    said: list[Message] = []
    for message in messages:
        if message.role == "assistant":
            said.clear()
        elif message.role != "system":
            said.append(message)
    if not said:
        raise invalid("messages", "a session needs a message of the user, or of a tool, after the last answer")
    return system, said

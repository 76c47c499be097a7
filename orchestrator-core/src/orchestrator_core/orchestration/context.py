"""What a provider is shown of a conversation: the turn's system messages, the summary, and what came after it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_core.provider_api import Message, ToolCallPart, ToolResultPart, text_message
from orchestrator_core.sessions.models import StartedTurn, StoredMessage

SUMMARY_HEADING = "Summary of the conversation so far, which you took part in:"
"""What stands before a summary, so that the model takes it for memory and not for an instruction."""


def build_context(system: Sequence[Message], started: StartedTurn) -> list[Message]:
    """Return the messages of a call, oldest first."""
    messages = list(system)
    if started.summary is not None:
        messages.append(text_message("system", f"{SUMMARY_HEADING}\n{started.summary.text}"))
    messages.extend(stored.message for stored in started.messages)
    return messages


def calls_waiting(started: StartedTurn) -> set[str]:
    """Return the ids of the tool calls that have no result yet."""
    waiting: set[str] = set()
    for stored in started.messages:
        for part in stored.message.parts:
            if isinstance(part, ToolCallPart):
                waiting.add(part.id)
            elif isinstance(part, ToolResultPart):
                waiting.discard(part.tool_call_id)
    return waiting


def cut_for_summary(messages: Sequence[StoredMessage], keep: int) -> int:
    """Return how many of the oldest messages to summarise.

    The cut stands before a user's message, so that a tool call is never parted from its results.

    Args:
        messages: What no summary covers, oldest first.
        keep: How many of the newest should stay as they are.

    Returns:
        The number of messages before the cut; 0 where there is no such place.
    """
    wanted = len(messages) - keep
    places = [index for index, stored in enumerate(messages) if index and stored.message.role == "user"]
    before = [index for index in places if index <= wanted]
    return before[-1] if before else next(iter(places), 0)

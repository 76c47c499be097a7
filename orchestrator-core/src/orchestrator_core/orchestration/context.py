"""What a provider is shown of a conversation: the turn's system messages, the summary, and what came after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator_core.provider_api import InvalidRequest, Message, ToolResultPart, text_message
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


def results_check(messages: Sequence[Message]) -> Callable[[Sequence[StoredMessage]], None] | None:
    """Return what refuses a turn whose results of tools nobody waits for; None for a turn without any."""
    given = [part.tool_call_id for message in messages for part in message.parts if isinstance(part, ToolResultPart)]
    if not given:
        return None

    def check(context: Sequence[StoredMessage]) -> None:
        waiting = calls_waiting(context)
        for number, call_id in enumerate(given, start=1):
            if call_id not in waiting:
                raise InvalidRequest(_nobody_waits(number, waiting, context), param="tool_call_id")
            waiting.remove(call_id)

    return check


def calls_waiting(context: Sequence[StoredMessage]) -> list[str]:
    """Return the ids of the tool calls that wait for results: those of the newest answer, until the user goes on."""
    waiting: list[str] = []
    for stored in context:
        if stored.message.role in ("user", "assistant"):
            waiting = [call.id for call in stored.message.tool_calls]
        for part in stored.message.parts:
            if isinstance(part, ToolResultPart) and part.tool_call_id in waiting:
                waiting.remove(part.tool_call_id)
    return waiting


def _nobody_waits(number: int, waiting: Sequence[str], context: Sequence[StoredMessage]) -> str:
    if context and not waiting and context[-1].turn_state != "complete":
        return (
            f"Result {number} belongs to no call that waits. The last turn broke off, with its results stored: send a "
            "message to go on, or that turn again with its Idempotency-Key."
        )
    listed = ", ".join(waiting) or "none"
    return f"Result {number} belongs to no call that waits for one. Waiting: {listed}."


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

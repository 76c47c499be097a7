"""What a provider is shown of a conversation: the turn's system messages, the summary, and what came after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator_core.orchestration.estimate import weigh_fields
from orchestrator_core.provider_api import ChatRequest, InvalidRequest, Message, Role, ToolResultPart, text_message
from orchestrator_core.sessions.models import StartedTurn, StoredMessage
from orchestrator_core.sessions.weights import Weight, weigh, weigh_message

SUMMARY_HEADING = "Summary of the conversation so far, which you took part in:"
"""What stands before a summary, so that the model takes it for memory and not for an instruction."""


@dataclass(frozen=True, slots=True)
class View:
    """What a provider is shown in a turn.

    Attributes:
        started: The turn and what it is part of.
        template: The call without the conversation.
        request: The call.
        weight: What the call weighs.
    """

    started: StartedTurn
    template: ChatRequest
    request: ChatRequest
    weight: Weight

    @classmethod
    def of(cls, template: ChatRequest, started: StartedTurn) -> View:
        """Return the view of a turn; the template's messages are its system messages."""
        messages = build_context(template.messages, started)
        if started.whole:
            weight = started.weight + weigh(messages[: len(messages) - len(started.messages)])
        else:
            weight = weigh(messages)
        if more := weigh_fields(template):
            weight += Weight(more)
        return cls(started, template, template.saying(messages), weight)


def build_context(system: Sequence[Message], started: StartedTurn) -> list[Message]:
    """Return the messages of a call, oldest first."""
    messages = list(system)
    shown = started.messages if started.whole else started.messages[_beginning(started.messages) :]
    if started.summary is not None:
        # Most providers want the user first: after a cut within a chain of calls, only the summary can be that.
        begins = not shown or shown[0].message.role == "user"
        role: Role = "system" if begins else "user"
        messages.append(text_message(role, f"{SUMMARY_HEADING}\n{started.summary.text}"))
    messages += [stored.message for stored in shown]
    return messages


def _beginning(messages: Sequence[StoredMessage]) -> int:
    """Return where the newest part of a conversation can begin: no result may stand there without its call."""
    places = _places(messages)
    return next((place for place in places if messages[place].message.role == "user"), places[0] if places else 0)


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


def cut_for_summary(messages: Sequence[StoredMessage], *, keep: int, room: float | None = None) -> int:
    """Return how many of the oldest messages to summarise.

    A cut stands only between two turns, or after the results that an earlier turn began with, and only where no call
    waits for its result. Of such places the last is chosen that leaves `keep` messages, before a message of the user
    if there is one near; where those would not fit into `room`, or no place leaves so many, the first that leaves less.

    Args:
        messages: What no summary covers, oldest first.
        keep: How many of the newest should stay as they are.
        room: What those may weigh; None is anything.

    Returns:
        The number of messages before the cut; 0 where nothing has to be cut, or can be.
    """
    least = 0 if room is None else _overweight(messages, room)
    wanted = max(len(messages) - keep, 0)
    if wanted == 0 and least == 0:
        return 0
    places = _places(messages)
    near = [place for place in places if max(least, wanted - keep) <= place <= wanted]
    spoken = [place for place in near if messages[place].message.role == "user"]
    after = [place for place in places if place >= least and place > wanted]
    chosen = spoken[-1:] or near[-1:] or after[:1] or places[-1:]
    return chosen[0] if chosen else 0


def _overweight(messages: Sequence[StoredMessage], room: float) -> int:
    """Return how many of the oldest messages are too much for a room."""
    for place in range(len(messages), 0, -1):
        room -= weigh_message(messages[place - 1].message).total
        if room < 0:
            return place
    return 0


def _places(messages: Sequence[StoredMessage]) -> list[int]:
    """Return where a cut may stand; see `cut_for_summary`."""
    places: list[int] = []
    waiting: list[str] = []
    for place, stored in enumerate(messages):
        message = stored.message
        results = [part.tool_call_id for part in message.parts if isinstance(part, ToolResultPart)]
        if place and not results and (not waiting or message.role == "user"):
            before = messages[place - 1]
            resumed = before.message.role == "tool" and stored.turn_id != messages[-1].turn_id
            if before.turn_id != stored.turn_id or resumed:
                places.append(place)
        if message.role == "assistant" or (message.role == "user" and not results):
            waiting = [call.id for call in message.tool_calls]
        for call_id in results:
            if call_id in waiting:
                waiting.remove(call_id)
    return places

"""What the fakes with a vendor's wire format share: their upstream, and the pairing of calls with results."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatRequest,
    GatewayError,
    Message,
    Part,
    ToolCallPart,
    ToolResultPart,
)

Wire = dict[str, Any]
"""A JSON object as it travels."""

WireAnswer = Wire | Sequence[Wire] | GatewayError
"""A whole body, the events of a stream, or an error."""

NO_RESULT = "no result was given"
"""What stands for the result of a call that has none."""


@dataclass
class FakeUpstream:
    """A vendor in memory.

    Attributes:
        answers: What it answers next, in order.
        bodies: What it was sent.
    """

    answers: deque[WireAnswer] = field(default_factory=deque)
    bodies: list[Wire] = field(default_factory=list)

    def post(self, body: Wire) -> Wire | Sequence[Wire]:
        """Take a body and return the next answer, or raise it."""
        self.bodies.append(body)
        answer = self.answers.popleft()
        if isinstance(answer, GatewayError):
            raise answer
        return answer


@dataclass
class Side:
    """Messages that one side of the conversation said in a row.

    Attributes:
        assistant: Whether it is the model's side.
        parts: What was said, without results of tools.
        calls: On the model's side: the wire ids of its calls, in order.
        results: On the other side: the wire id, the call and its result, in the order of the calls.
    """

    assistant: bool
    parts: list[Part] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    results: list[tuple[str, ToolCallPart, ToolResultPart]] = field(default_factory=list)


def system_texts(messages: Sequence[Message], report: AdjustmentReport) -> list[str]:
    """Return the system prompts; those that do not stand first are moved, which is reported."""
    spoken = False
    texts: list[str] = []
    for message in messages:
        if message.role != "system":
            spoken = True
        elif message.text.strip():
            texts.append(message.text)
            if spoken:
                report.mapped("system", "system prompts stand before the conversation here")
    return texts


def sides(messages: Sequence[Message], make_id: Callable[[str], str], report: AdjustmentReport) -> list[Side]:
    """Return the conversation as alternating sides in which every call is followed by its result.

    A result moves up to its call; one without a call is said as text by the caller of this; a call without a
    result gets an error for one.

    Args:
        messages: The canonical conversation.
        make_id: Makes a wire id of a canonical one; ids that come again are numbered.
        report: Notes what had to change.
    """
    found: list[Side] = []
    used: set[str] = set()
    for message in messages:
        if message.role == "system":
            continue
        assistant = message.role == "assistant"
        if not found or found[-1].assistant is not assistant or (assistant and _calls(found[-1])):
            if assistant and found and found[-1].assistant:
                found.append(Side(assistant=False))
            found.append(Side(assistant=assistant))
        found[-1].parts.extend(message.parts)
    if found and _calls(found[-1]):
        found.append(Side(assistant=False))
    for position, side in enumerate(found):
        if side.assistant:
            side.calls = [_unique(make_id(call.id), used) for call in _calls(side)]
        elif position:
            _pair(found[position - 1], side, report)
    return found


def inner_text(result: ToolResultPart) -> str:
    """Return the text of a result."""
    if isinstance(result.content, str):
        return result.content
    return "".join(part.text for part in result.content if part.type == "text")


def own(part: Part, provider_id: str) -> Mapping[str, Any]:
    """Return what this provider noted of a part."""
    return (part.provider_metadata or {}).get(provider_id, {})


def drop_parameters(request: ChatRequest, names: Sequence[str], report: AdjustmentReport) -> None:
    """Report those parameters of a request that are set, and what nobody knows."""
    for name in (*names, *request.extra):
        if name in request.extra or getattr(request, name) is not None:
            report.dropped(name, "this provider does not know it")


def plain_id(canonical: str) -> str:
    """Return an id of letters, digits, `_` and `-`; one that is so already stays."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", canonical) or "call"


def _calls(side: Side) -> list[ToolCallPart]:
    return [part for part in side.parts if isinstance(part, ToolCallPart)]


def _unique(identity: str, used: set[str]) -> str:
    number, unique = 1, identity
    while unique in used:
        number += 1
        unique = f"{identity}_{number}"
    used.add(unique)
    return unique


def _pair(caller: Side, side: Side, report: AdjustmentReport) -> None:
    for wire_id, call in zip(caller.calls, _calls(caller), strict=True):
        match = next((p for p in side.parts if isinstance(p, ToolResultPart) and p.tool_call_id == call.id), None)
        if match is None:
            report.mapped("tool_call", f"the call of {call.name} has no result: it gets an error for one")
            match = ToolResultPart(tool_call_id=call.id, content=NO_RESULT, is_error=True)
        else:
            # By identity: two results may be equal.
            side.parts = [part for part in side.parts if part is not match]
        side.results.append((wire_id, call, match))

"""What the checks look at: the order of events, what an answer says, what a request holds."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.plugins.checks import event_flaw
from orchestrator_core.provider_api import (
    Adjustment,
    ChatEvent,
    ChatResponse,
    Finish,
    FinishReason,
    Json,
    NativeOnly,
    Part,
    ProviderMetadata,
    ReasoningPart,
    RefusalPart,
    Start,
    ToolCallDelta,
    ToolCallPart,
    Usage,
    UsageReport,
)
from orchestrator_core.testing.scenes import Scene


def require(condition: object, message: str) -> None:
    """Fail a check unless a condition holds.

    Args:
        condition: What must hold.
        message: What is wrong and what the contract asks for, for the provider's author.
    """
    __tracebackhide__ = True
    if not condition:
        raise AssertionError(message)


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says, without anything that only its provider reads."""

    text: str
    reasoning: str
    refusal: str
    calls: tuple[tuple[str, Json], ...]
    finish_reason: FinishReason | None
    usage: Usage | None


def said(response: ChatResponse) -> Said:
    """Return what the first choice of a response says; arguments that are no JSON stay text."""
    choice = response.choices[0]
    parts = choice.message.parts
    return Said(
        choice.message.text,
        "".join(part.text for part in parts if isinstance(part, ReasoningPart)),
        "".join(part.text for part in parts if isinstance(part, RefusalPart)),
        tuple((call.name, _arguments(call)) for call in choice.message.tool_calls),
        choice.finish_reason,
        response.usage,
    )


def expected(scene: Scene) -> Said:
    """Return what a scene says."""
    calls = tuple((call.name, json.loads(call.arguments)) for call in scene.calls)
    return Said(scene.text, scene.reasoning, scene.refusal, calls, scene.finish_reason, scene.usage)


def fold(events: Sequence[ChatEvent]) -> ChatResponse:
    """Return the answer that core makes of events."""
    folded = Fold()
    for event in events:
        folded.add(event)
    return folded.response()


def order_flaw(events: Sequence[ChatEvent], choices: int = 1) -> str | None:
    """Return what is wrong with the order or the fields of an answer's events, or None.

    Args:
        events: All events of an answer that ended well.
        choices: How many alternatives were asked for.
    """
    if not events or not isinstance(events[0], Start):
        return f"the first event is {_name(events[0]) if events else 'missing'}: `Start` comes first"
    finished: set[int] = set()
    named: set[tuple[int, int]] = set()
    for event in events[1:]:
        flaw = _place_flaw(event, finished, named)
        if flaw is not None:
            return flaw
    if finished != set(range(choices)):
        return f"{len(finished)} of {choices} choices have their `Finish`: each ends with exactly one"
    return None


def _place_flaw(event: object, finished: set[int], named: set[tuple[int, int]]) -> str | None:
    """Return what is wrong with an event after those that have ended choices and named calls, and note it."""
    if not isinstance(event, ChatEvent):
        return f"{_name(event)} is no ChatEvent"
    flaw = event_flaw(event)
    if isinstance(event, Start):
        flaw = "`Start` came twice"
    elif isinstance(event, Finish):
        if event.choice in finished:
            flaw = f"choice {event.choice} has two `Finish`"
        finished.add(event.choice)
    elif event.choice in finished and not isinstance(event, UsageReport | NativeOnly):
        flaw = f"{_name(event)} of choice {event.choice} came after its `Finish`"
    elif isinstance(event, ToolCallDelta) and (event.choice, event.index) not in named:
        if not event.id or not event.name:
            flaw = f"the first delta of tool call {event.index} lacks its id or its name"
        named.add((event.choice, event.index))
    return flaw


def contains(value: Json, wanted: Json) -> bool:
    """Say whether a JSON value holds another one at any depth; texts count where they stand inside of others.

    JSON inside of a text is looked into as well, since some wires send arguments so.
    """
    if isinstance(value, dict):
        return any(contains(item, wanted) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple):
        return any(contains(item, wanted) for item in value)
    if isinstance(value, str):
        return wanted in value if isinstance(wanted, str) else str(wanted) in value and _nested(value, wanted)
    return type(value) is not bool and type(wanted) is not bool and bool(value == wanted)


def lost(adjustments: Sequence[Adjustment]) -> set[str]:
    """Return the subjects that are reported as dropped or downgraded."""
    return {made.subject for made in adjustments if made.action != "mapped"}


def strings(value: Json) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def metadata_of(events: Sequence[ChatEvent], parts: Sequence[Part] = ()) -> Collection[str]:
    """Return the names under which metadata stands in events and parts."""
    found: list[ProviderMetadata | None] = [event.provider_metadata for event in events]
    found += [part.provider_metadata for part in parts]
    return {name for metadata in found for name in metadata or ()}


def _arguments(call: ToolCallPart) -> Json:
    try:
        return json.loads(call.arguments or "{}")
    except ValueError:
        return call.arguments


def _nested(text: str, wanted: Json) -> bool:
    try:
        inner = json.loads(text)
    except ValueError:
        return False
    return not isinstance(inner, str) and contains(inner, wanted)


def _name(event: object) -> str:
    return type(event).__name__

"""What is wrong with what a plugin gave: nothing validates its slotted types when it makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import attrgetter
from string import whitespace
from typing import Any, Final, TypeVar, get_args

from pydantic_core import to_json

from orchestrator_core.provider_api import (
    NO_DETAILS,
    Adjustment,
    ChatEvent,
    EmbeddingResponse,
    FilePart,
    Finish,
    FinishReason,
    HealthReport,
    ImagePart,
    KeyStatus,
    KeyVerdict,
    Logprobs,
    ModelInfo,
    NativeOnly,
    OpaquePart,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Summary,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageDetails,
    UsageReport,
    WholePart,
)

T = TypeVar("T")

MOST: Final = 2**53
"""No answer has more tokens."""

_counts = attrgetter(*(each.name for each in fields(Usage) if each.name != "details"))
_detailed = attrgetter(*(each.name for each in fields(UsageDetails) if each.type == "int"))
_BLANK = f"{whitespace}\0"
_REASONS = frozenset(get_args(FinishReason))
_STATUSES = frozenset(get_args(KeyStatus))


def flaw(result: T, check: Callable[[T], str | None]) -> str | None:
    """Return what is wrong with a result, for its author, or None.

    Args:
        result: What the plugin gave.
        check: Looks at the fields; whatever it stumbles over is a field of the wrong type.
    """
    try:
        return check(result)
    except Exception:  # noqa: BLE001 - the fields may be anything
        return _mistyped(result)


def event_flaw(event: ChatEvent) -> str | None:
    """Return what is wrong with an event, for its author, or None. It is called for every token."""
    try:
        sound = (_CHECKS.get(type(event)) or _check_of(event))(event)
        if event.provider_metadata is not None:
            sound = sound and _metadata(event.provider_metadata)
        if (native := event.native) is not None:
            sound = sound and (native.more == () or _are(bytes, *native.more)) and isinstance(native.data, bytes)
            if native.event is not None:
                name = native.event.encode()  # a line break in it would make events of its own
                sound = sound and b"\n" not in name and b"\r" not in name
        return None if sound and isinstance(event.choice, int) else _mistyped(event)
    except Exception:  # noqa: BLE001 - the fields may be anything
        return _mistyped(event)


def _delta(event: TextDelta | ReasoningDelta) -> bool:
    return _text(event.text) and (event.block is None or isinstance(event.block, int | str))


def _refusal(event: RefusalDelta) -> bool:
    return _text(event.text)


def _call(event: ToolCallDelta) -> bool:
    return _are(int, event.index) and _text(event.arguments) and _texts(event.id, event.name)


def _start(event: Start) -> bool:
    adjusted = event.adjustments == () or _are(Adjustment, *event.adjustments)
    return adjusted and _texts(event.id, event.model) and (event.created is None or _counted(event.created))


def _report(event: UsageReport) -> bool:
    return _usage(event.usage)


def _finish(event: Finish) -> bool:
    return event.reason in _REASONS


def _logprobs(event: Logprobs) -> bool:
    to_json((event.content, event.refusal))
    return _are(dict, *event.content, *event.refusal)


def _whole(event: WholePart) -> bool:
    return isinstance(event.part, ImagePart | FilePart | OpaquePart)


def _unread(event: NativeOnly) -> bool:
    return 0 <= event.text_bytes <= MOST and isinstance(event.text_bytes, int)


def _other(_: ChatEvent) -> bool:
    return True


_CHECKS: Final[Mapping[type, Callable[[Any], bool]]] = {
    TextDelta: _delta,
    ReasoningDelta: _delta,
    RefusalDelta: _refusal,
    ToolCallDelta: _call,
    Start: _start,
    UsageReport: _report,
    Finish: _finish,
    Logprobs: _logprobs,
    WholePart: _whole,
    NativeOnly: _unread,
}


def _check_of(event: ChatEvent) -> Callable[[Any], bool]:
    """Return what looks at an event of a kind that a plugin derived, or of one that has no fields of its own."""
    return next((_CHECKS[base] for base in type(event).__mro__ if base in _CHECKS), _other)


def verdict_flaw(verdict: KeyVerdict) -> str | None:
    """Return what is wrong with the verdict on a key."""
    sound = verdict.status in _STATUSES and _are(str, verdict.masked) and _texts(verdict.reason)
    return None if sound else _mistyped(verdict)


def report_flaw(report: HealthReport) -> str | None:
    """Return what is wrong with a report on health."""
    sound = _are(bool, report.healthy, report.reached) and _texts(report.detail)
    return None if sound and _are(ModelInfo, *report.models) else _mistyped(report)


def embedding_flaw(response: EmbeddingResponse, inputs: int) -> str | None:
    """Return what is wrong with the vectors of `inputs` texts."""
    if len(response.vectors) != inputs:
        return "it gave another number of vectors than there were inputs"
    sound = all(map(len, response.vectors)) and _usage(response.usage) and _texts(response.model)
    return None if sound else _mistyped(response)


def summary_flaw(summary: Summary) -> str | None:
    """Return what is wrong with a summary; an empty one would make the conversation forget."""
    sound = _texts(summary.text, summary.model) and _usage(summary.usage)
    return None if sound and summary.text.strip(_BLANK) else _mistyped(summary)


def _mistyped(result: object) -> str:
    return f"a field of its {type(result).__name__} is empty or of the wrong type"


def _usage(value: object) -> bool:
    if value is None:
        return True
    if not (isinstance(value, Usage) and _counted(*_counts(value))):
        return False
    details: object = value.details
    if details is NO_DETAILS:
        return True
    return isinstance(details, UsageDetails) and _counted(*_detailed(details)) and _texts(details.unpriced)


def _counted(*values: object) -> bool:
    """Return whether these are numbers that a database and a float can hold."""
    for value in values:  # noqa: SIM110 - for every event, and a generator costs twice as much
        if not isinstance(value, int) or not 0 <= value <= MOST:
            return False
    return True


def _metadata(value: object) -> bool:
    """Return whether this is what providers keep: an object of objects that can be written as JSON."""
    if not isinstance(value, Mapping) or not all(isinstance(kept, Mapping) for kept in value.values()):
        return False
    to_json(value)
    return True


def _texts(*values: object) -> bool:
    for value in values:  # noqa: SIM110 - as above
        if value is not None and not _text(value):
            return False
    return True


def _text(value: object) -> bool:
    """Return whether this is text that can be written: a lone surrogate cannot."""
    if not isinstance(value, str):
        return False
    if not value.isascii():
        value.encode()
    return True


def _are(kind: type, *values: object) -> bool:
    for value in values:  # noqa: SIM110 - as above
        if not isinstance(value, kind):
            return False
    return True

"""What is wrong with what a plugin gave: nothing validates its slotted types when it makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import attrgetter
from string import whitespace
from typing import Final, TypeVar, get_args

from pydantic_core import to_json

from orchestrator_core.provider_api import (
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

_NO_DETAILS: Final = UsageDetails()
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
    """Return what is wrong with an event, for its author, or None."""
    try:
        return None if _is_sound(event) else _mistyped(event)
    except Exception:  # noqa: BLE001 - the fields may be anything
        return _mistyped(event)


def _is_sound(event: ChatEvent) -> bool:
    """Say whether the fields are what they must be. It is called for every token, so the texts come first."""
    if isinstance(event, (TextDelta, ReasoningDelta)):
        sound = _text(event.text) and (event.block is None or isinstance(event.block, int | str))
    elif isinstance(event, RefusalDelta):
        sound = _text(event.text)
    elif isinstance(event, ToolCallDelta):
        sound = _are(int, event.index) and _text(event.arguments) and _texts(event.id, event.name)
    elif isinstance(event, Start):
        sound = _texts(event.id, event.model) and _are(Adjustment, *event.adjustments) and _numbers(event.created)
    elif isinstance(event, UsageReport):
        sound = _usage(event.usage)
    elif isinstance(event, Finish):
        sound = event.reason in _REASONS
    elif isinstance(event, Logprobs):
        sound = _are(dict, *event.content, *event.refusal)
        to_json((event.content, event.refusal))
    elif isinstance(event, WholePart):
        sound = isinstance(event.part, ImagePart | FilePart | OpaquePart)
    else:
        sound = True
    if event.provider_metadata is not None:
        sound = sound and _metadata(event.provider_metadata)
    if event.native is not None:
        sound = sound and isinstance(event.native.data, bytes)
    return sound and isinstance(event.choice, int)


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


def _usage(value: Usage | None) -> bool:
    if value is None:
        return True
    sound = _are(Usage, value) and _are(UsageDetails, value.details) and _numbers(*_counts(value))
    if value.details == _NO_DETAILS:  # as of most answers
        return sound
    return sound and _numbers(*_detailed(value.details)) and _texts(value.details.unpriced)


def _numbers(*values: object) -> bool:
    """Return whether these are numbers that a database and a float can hold, or None."""
    return all(map(_number, values))


def _number(value: object) -> bool:
    return value is None or (isinstance(value, int) and 0 <= value <= MOST)


def _metadata(value: object) -> bool:
    """Return whether this is what providers keep: an object of objects that can be written as JSON."""
    if not isinstance(value, Mapping) or not all(isinstance(kept, Mapping) for kept in value.values()):
        return False
    to_json(value)
    return True


def _texts(*values: object) -> bool:
    return all(value is None or _text(value) for value in values)


def _text(value: object) -> bool:
    """Return whether this is text that can be written: a lone surrogate cannot."""
    if not isinstance(value, str):
        return False
    if not value.isascii():
        value.encode()
    return True


def _are(kind: type, *values: object) -> bool:
    return all(isinstance(value, kind) for value in values)

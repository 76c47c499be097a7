"""What is wrong with what a plugin gave: nothing validates its slotted types when it makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, get_args

from orchestrator_core.provider_api import (
    ChatEvent,
    EmbeddingResponse,
    FilePart,
    Finish,
    FinishReason,
    HealthReport,
    ImagePart,
    KeyStatus,
    KeyVerdict,
    ModelInfo,
    OpaquePart,
    ReasoningDelta,
    RefusalDelta,
    Summary,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    WholePart,
)

T = TypeVar("T")

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
    """Return what is wrong with an event. It is called for every token, so the texts come first."""
    if isinstance(event, TextDelta | ReasoningDelta | RefusalDelta):
        sound = isinstance(event.text, str)
    elif isinstance(event, ToolCallDelta):
        sound = _are(int, event.index) and _are(str, event.arguments) and _texts(event.id, event.name)
    elif isinstance(event, UsageReport):
        sound = _usage(event.usage)
    elif isinstance(event, Finish):
        sound = event.reason in _REASONS
    elif isinstance(event, WholePart):
        sound = isinstance(event.part, ImagePart | FilePart | OpaquePart)
    else:
        sound = True
    return None if sound and isinstance(event.choice, int) else _mistyped(event)


def verdict_flaw(verdict: KeyVerdict) -> str | None:
    """Return what is wrong with the verdict on a key."""
    sound = verdict.status in _STATUSES and _are(str, verdict.masked) and _texts(verdict.reason)
    return None if sound else _mistyped(verdict)


def report_flaw(report: HealthReport) -> str | None:
    """Return what is wrong with a report on health."""
    sound = _are(bool, report.healthy) and _texts(report.detail)
    return None if sound and _are(ModelInfo, *report.models) else _mistyped(report)


def embedding_flaw(response: EmbeddingResponse, inputs: int) -> str | None:
    """Return what is wrong with the vectors of `inputs` texts."""
    if len(response.vectors) != inputs:
        return "it gave another number of vectors than there were inputs"
    return None if all(map(len, response.vectors)) and _usage(response.usage) else _mistyped(response)


def summary_flaw(summary: Summary) -> str | None:
    """Return what is wrong with a summary; an empty one would make the conversation forget."""
    return None if summary.text.strip() and _usage(summary.usage) else _mistyped(summary)


def _mistyped(result: object) -> str:
    return f"a field of its {type(result).__name__} is empty or of the wrong type"


def _usage(value: object) -> bool:
    return value is None or _are(Usage, value)


def _texts(*values: object) -> bool:
    return all(value is None or _are(str, value) for value in values)


def _are(kind: type, *values: object) -> bool:
    return all(isinstance(value, kind) for value in values)

"""Redaction of what is logged: structures by value, then the finished line."""

from __future__ import annotations

from typing import Any

from orchestrator_core.config.redaction import REDACTOR, Redactor
from orchestrator_core.provider_api import Secret

MAX_DEPTH = 6
"""Structures in log entries are followed to this depth, and shown as text below it."""

__all__ = ["REDACTOR", "Redactor", "redact_value"]


def redact_value(value: Any, depth: int = 0) -> Any:
    """Return a value of a log entry with every registered secret masked.

    Done before a structure is rendered, where JSON and `repr` have not yet escaped anything. What is neither a
    structure nor of a type that JSON has is left to be shown as text.
    """
    if isinstance(value, str):
        return REDACTOR.redact(value)
    if value is None or isinstance(value, (bool, int, float, Secret)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return REDACTOR.redact_bytes(bytes(value))
    if depth < MAX_DEPTH:
        if isinstance(value, dict):
            return {_redact_key(key): redact_value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [redact_value(item, depth + 1) for item in value]
    text = str(value)
    masked = REDACTOR.redact(text)
    return value if masked == text and depth < MAX_DEPTH else masked


def _redact_key(key: Any) -> str | int | float | bool | None:
    """Return a key of a mapping likewise; JSON has no keys of other types."""
    return key if key is None or isinstance(key, (bool, int, float)) else str(redact_value(key, MAX_DEPTH))

"""With what a turn was asked for, beside what was said: kept with the turn, so that it can be asked for again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter
from pydantic_core import to_json

from orchestrator_core.provider_api import ChatRequest, Json, Message, ResponseFormat, Tool, ToolChoice

MAX_SETTINGS: Final = 256 * 1024
"""Bytes of the settings of a turn; larger ones are not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSettings:
    """The part of a call that is not the conversation; fields as those of `ChatRequest`.

    Attributes:
        messages: The system messages that held for the turn.
        extra: Fields that core does not know. They are for the provider that was asked.
    """

    messages: tuple[Message, ...] = ()
    strict: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    reasoning_budget: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)

    __pydantic_config__ = ConfigDict(extra="forbid", hide_input_in_errors=True)


_EMPTY: Final = frozenset({"messages", "strict", "tools", "extra"})
"""What says nothing where it is empty or false."""

_NAMES: Final = tuple(TurnSettings.__dataclass_fields__)
_NONE: Final = TurnSettings()
_SETTINGS: TypeAdapter[TurnSettings] = TypeAdapter(TurnSettings)


def settings_of(call: ChatRequest) -> TurnSettings:
    """Return with what a call is asked for; its messages are the system messages of the turn."""
    values: dict[str, Any] = {}
    for name in _NAMES:
        value = getattr(call, name)
        if value or (value is not None and name not in _EMPTY):
            values[name] = tuple(value) if type(value) is list else value
    return TurnSettings(**values) if values else _NONE


def settings_json(settings: TurnSettings, redact: Callable[[str], str]) -> str | None:
    """Return settings as they are written, without what was left out; None where that is more than is kept."""
    if settings is _NONE:
        return "{}"
    values = _SETTINGS.dump_python(settings)
    set_ = {name: value for name, value in values.items() if value or (value is not None and name not in _EMPTY)}
    written = to_json(set_)
    return redact(written.decode()) if len(written) <= MAX_SETTINGS else None


def read_settings(written: str) -> TurnSettings:
    """Return settings as they were before they were written.

    Raises:
        pydantic.ValidationError: They are none.
    """
    return _SETTINGS.validate_json(written)

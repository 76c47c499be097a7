"""What clients say on messages, parts and tools beyond the canonical form: taken where it is known, else reported."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from orchestrator_core.provider_api.messages import Json, Message, OpaquePart, ProviderMetadata
from orchestrator_core.provider_api.native import OPENAI_CHAT
from orchestrator_core.provider_api.report import AdjustmentReport

MESSAGE: Final = "message"
"""The note of an opaque part that stands for fields of the message itself: in OpenAI's dialect what a client said,
under a provider's name what that provider said in fields that nobody here knows."""

PART: Final = "part"
"""The note of an opaque part that holds a part of a kind that nobody here knows, in OpenAI's dialect."""

THOUGHT: Final = "field"
"""The note with which a provider marks its thoughts, with the name of the field in which it gave them. On a message as
a whole it says whose the thoughts are that have no notes of their own."""

FIELDS: Final = "fields"
"""The note on a message as a whole that lists those of its plain fields which one provider wrote, and only it reads."""

_NESTED: Final = frozenset(("function", "custom", "image_url", "input_audio", "file", "video_url"))
"""Notes of OpenAI's dialect that stand for fields of an object inside the part or tool."""


def taken_notes(
    metadata: ProviderMetadata | None,
    dialect: str,
    report: AdjustmentReport,
    *,
    known: Collection[str] | None = (),
    without: Collection[str] = (),
    read: Collection[str] = (),
    asked: bool = True,
) -> dict[str, Json]:
    """Return what clients of a dialect noted and a provider takes; report the rest by name.

    Args:
        metadata: The notes on a part or a tool.
        dialect: The client's dialect, such as `OPENAI_CHAT`.
        report: Gets what is not taken.
        known: The names that the provider takes; None where it takes any.
        without: Names that it does not take all the same.
        read: Names that are said by the part itself, so that nothing is to be taken or reported.
        asked: Whether they belong to what is asked now. What was said before an earlier answer does not refuse a
            strict caller, since a conversation that moves leaves it behind by design.

    Raises:
        UnsupportedParameter: Something would get lost, and the caller is strict.
    """
    taken: dict[str, Json] = {}
    for name, value in (metadata or {}).get(dialect, {}).items():
        if name in read:
            continue
        if (known is None or name in known) and name not in without:
            taken[name] = value
        else:
            report_note(name, value, report, asked=asked)
    return taken


def report_note(name: str, value: Json, report: AdjustmentReport, *, asked: bool = True) -> None:
    """Report a field that is not taken, unless its value says nothing; see `taken_notes`.

    Raises:
        UnsupportedParameter: The caller is strict, and the field is asked for now.
    """
    if name in _NESTED and isinstance(value, dict):
        for inner, detail in value.items():
            report_note(f"{name}.{inner}", detail, report, asked=asked)
    elif value not in (None, False, "", [], {}):
        lose = report.dropped if asked else report.omitted
        lose(name, "this provider has nothing like it there")


def message_notes(message: Message) -> Mapping[str, Json]:
    """Return what a client of OpenAI's dialect said on a message itself."""
    for part in message.parts:
        if isinstance(part, OpaquePart) and (noted := (part.provider_metadata or {}).get(OPENAI_CHAT, {})):
            fields = noted.get(MESSAGE)
            if isinstance(fields, dict):
                return fields
    return {}


def noted_message(fields: Mapping[str, Json], owner: str = OPENAI_CHAT) -> OpaquePart:
    """Make the part that keeps what was said on a message itself, by a client of OpenAI's dialect or by a provider."""
    return OpaquePart(provider_metadata={owner: {MESSAGE: fields}})


def is_message_note(part: object) -> bool:
    """Say whether a part was made by `noted_message` of what a client said."""
    return isinstance(part, OpaquePart) and MESSAGE in (part.provider_metadata or {}).get(OPENAI_CHAT, {})


def fields_of(marks: Mapping[str, Mapping[str, Json]], owner: str) -> list[str]:
    """Return the plain fields of a message that a provider wrote, as the marks on the message say."""
    names = marks.get(owner, {}).get(FIELDS)
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def last_answer(messages: Sequence[Message]) -> int:
    """Return the place of the last answer, after which everything is asked now; -1 where there is none."""
    return next((place for place in range(len(messages) - 1, -1, -1) if messages[place].role == "assistant"), -1)

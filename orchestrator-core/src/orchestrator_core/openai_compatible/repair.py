"""Which messages of a client's own body a vendor takes as they are; all others are compiled from the canonical ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from orchestrator_core.openai_compatible.dialect import Dialect, MediaKind
from orchestrator_core.provider_api import (
    FilePart,
    ImagePart,
    Json,
    Message,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    fields_of,
)

_MEDIA: Mapping[str, MediaKind] = {
    "image_url": "image",
    "input_audio": "audio",
    "video_url": "video",
    "file": "file",
}


def intact(wire: Sequence[Json], said: Sequence[Message], dialect: Dialect, provider_id: str) -> list[int]:
    """Return the places of the messages that the vendor takes as the client wrote them.

    A message with calls and the results of these calls stand or fall together.

    Args:
        wire: The client's messages.
        said: The same messages in canonical form, one for each.
        dialect: The vendor's differences.
        provider_id: The provider instance.
    """
    places: list[int] = []
    place = 0
    while place < len(wire):
        calls = said[place].tool_calls
        end = place + 1 + len(calls)
        if said[place].role == "tool":  # no call waits for it, or none that is intact
            whole = False
        else:
            whole = _taken(wire[place], said[place], dialect, provider_id) and (
                not calls or _answered(calls, wire[place + 1 : end], said[place + 1 : end], dialect)
            )
        places += range(place, end) if whole else ()
        place = end if whole else place + 1
    return places


def says_something(answer: Mapping[str, Json], dialect: Dialect) -> bool:
    """Return whether anything is said in an answer, so that the vendor takes it; a thought alone is nothing said."""
    if dialect.empty_answers and answer.get("content") == "":
        return True
    silent = ("role", "name", "reasoning_details", *dialect.reasoning_fields)
    return any(value for name, value in answer.items() if name not in silent)


def _taken(wire: Mapping[str, Json], said: Message, dialect: Dialect, provider_id: str) -> bool:
    if not dialect.refusal_field and any(isinstance(part, RefusalPart) for part in said.parts):
        return False
    if wire.get("function_call") and not dialect.openai_tools:
        return False
    if wire.get("audio") and not (dialect.spoken_answers and _may_be_of(wire, "audio", provider_id)):
        return False
    content = wire.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    if said.role == "assistant":
        return not any(_kind(part) == "thinking" or _kind(part) in _MEDIA for part in parts)
    if said.role == "system":  # API reference, Chat Completions: system and developer messages are text
        return not any(isinstance(part, ImagePart | FilePart) for part in said.parts)
    return all(_media_taken(part, dialect) for part in parts)


def _may_be_of(wire: Mapping[str, Json], name: str, provider_id: str) -> bool:
    """Whether a provider wrote a field of a message, where the gateway said who did."""
    marks = wire.get("extra_content")
    owners = [each for each in marks if name in fields_of(marks, each)] if isinstance(marks, dict) else []
    return not owners or provider_id in owners


def _media_taken(part: Mapping[str, Json], dialect: Dialect) -> bool:
    name = _kind(part)
    if name == "document_url":
        return dialect.document_url or name in dialect.foreign  # what is foreign is put into other words later
    kind = _MEDIA.get(name)
    if kind is None:
        return True
    if kind == "audio" and dialect.audio_uri:
        inner = part.get(name)
        data = inner.get("data") if isinstance(inner, dict) else None
        if not isinstance(data, str) or not data.startswith(("data:", "http://", "https://")):
            return False
    return kind in dialect.media


def _answered(calls: Sequence[ToolCallPart], wire: Sequence[Json], said: Sequence[Message], dialect: Dialect) -> bool:
    """Whether each call is one that the vendor takes, with its result among the messages right after it."""
    if any(message.role != "tool" for message in said):
        return False
    results = [part for message in said for part in message.parts if isinstance(part, ToolResultPart)]
    ids = {call.id for call in calls}
    return (
        len(ids) == len(calls) == len(results)
        and ids == {result.tool_call_id for result in results}
        and all(re.fullmatch(dialect.tool_call_id, id_) for id_ in ids)
        and all(_call_taken(call, dialect) for call in calls)
        and all(_result_taken(result, dialect) for result in results)
        and all(message.get("content") is not None for message in wire)
    )


def _call_taken(call: ToolCallPart, dialect: Dialect) -> bool:
    if call.is_custom:
        return dialect.openai_tools
    return not dialect.json_arguments or _is_json(call.arguments)


def _result_taken(result: ToolResultPart, dialect: Dialect) -> bool:
    return isinstance(result.content, str) or dialect.result_media or _only_text(result.content)


def _only_text(parts: Iterable[object]) -> bool:
    return all(isinstance(part, TextPart) for part in parts)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _kind(part: Mapping[str, Json]) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""

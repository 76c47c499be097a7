"""Which messages of a client's own body a vendor takes as they are; all others are compiled from the canonical ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from orchestrator_core.openai_compatible.dialect import Dialect, MediaKind
from orchestrator_core.provider_api import Json, fields_of

_MEDIA: Mapping[str, MediaKind] = {
    "image_url": "image",
    "input_audio": "audio",
    "video_url": "video",
    "file": "file",
}
_NO_TEXT: Final = frozenset((*_MEDIA, "document_url"))
_RESULTS: Final = ("tool", "function")
"""Roles of the results of calls; the latter is retired."""
_RETIRED: Final = "function_call"
"""The field of a call in the retired form, and its type among the others."""


def intact(wire: Sequence[Mapping[str, Json]], dialect: Dialect, provider_id: str) -> list[int]:
    """Return the places of the messages that the vendor takes as the client wrote them, in order.

    A message with calls and the results of these calls stand or fall together.

    Args:
        wire: The client's messages, which are well-formed.
        dialect: The vendor's differences.
        provider_id: The provider instance.
    """
    fits = re.compile(dialect.tool_call_id).fullmatch
    places: list[int] = []
    place = 0
    while place < len(wire):
        message = wire[place]
        calls = _calls(message, place)
        end = place + 1 + len(calls)
        whole = (
            message["role"] not in _RESULTS  # no call waits for it, or none that is intact
            and _taken(message, dialect, provider_id)
            and (not calls or _answered(calls, wire[place + 1 : end], dialect, fits))
        )
        places += range(place, end) if whole else ()
        place = end if whole else place + 1
    return places


def says_something(answer: Mapping[str, Json], dialect: Dialect) -> bool:
    """Return whether anything is said in an answer, so that the vendor takes it; a thought alone is nothing said."""
    content = answer.get("content")
    if content or answer.get("tool_calls") or (content == "" and dialect.empty_answers):
        return True
    silent = ("role", "name", "reasoning_details", *dialect.reasoning_fields)
    return any(value for name, value in answer.items() if name not in silent)


def is_json(text: str) -> bool:
    """Return whether a text is JSON, nested no deeper than it can be read."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _calls(message: Mapping[str, Json], place: int) -> Sequence[Mapping[str, Json]]:
    """Return the calls of a message; one in the retired form has no id, and gets that of its canonical form."""
    if message["role"] != "assistant":
        return ()
    calls: Sequence[Mapping[str, Json]] = message.get("tool_calls") or ()
    retired = message.get(_RETIRED)
    return calls if retired is None else (*calls, {"id": f"call_{place}", "type": _RETIRED, "function": retired})


def _taken(message: Mapping[str, Json], dialect: Dialect, provider_id: str) -> bool:
    role, content = message["role"], message.get("content")
    if message.get(_RETIRED) and not dialect.openai_tools:
        return False
    if message.get("audio") and not (dialect.spoken_answers and _may_be_of(message, "audio", provider_id)):
        return False
    if role == "assistant" and message.get("refusal") and not dialect.refusal_field:
        return False
    if not isinstance(content, list):
        return True
    if not dialect.refusal_field and any(_kind(part) == "refusal" for part in content):
        return False
    if role == "assistant":
        return not any(_kind(part) == "thinking" or _kind(part) in _MEDIA for part in content)
    if role in ("system", "developer"):  # API reference, Chat Completions: system and developer messages are text
        return _only_text(content)
    return all(_media_taken(part, dialect) for part in content)


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


def _answered(
    calls: Sequence[Mapping[str, Json]],
    results: Sequence[Mapping[str, Json]],
    dialect: Dialect,
    fits: Callable[[str], object],
) -> bool:
    """Whether each call is one that the vendor takes, with its result among the messages right after it."""
    waiting = {call["id"] for call in calls}
    if not len(waiting) == len(calls) == len(results):
        return False
    for result in results:
        if result["role"] not in _RESULTS or not _result_taken(result, dialect):
            return False
        answered = _answers(result, calls[-1])
        if answered not in waiting:
            return False
        waiting.remove(answered)
    return all(fits(call["id"]) and _call_taken(call, dialect) for call in calls)


def _answers(result: Mapping[str, Json], last: Mapping[str, Json]) -> Json:
    """Return the id of the call that a result is of; one of the retired role names the function of the last call."""
    if result["role"] == "tool":
        return result["tool_call_id"]
    retired = last.get("type") == _RETIRED and last["function"]["name"] == result["name"]
    return last["id"] if retired else None


def _call_taken(call: Mapping[str, Json], dialect: Dialect) -> bool:
    marks = call.get("extra_content")
    if call.get("type") == "custom" or (marks and any(noted.get("type") == "custom" for noted in marks.values())):
        return dialect.openai_tools
    return not dialect.json_arguments or _are_json(call["function"].get("arguments"))


def _result_taken(result: Mapping[str, Json], dialect: Dialect) -> bool:
    content = result.get("content")
    return content is not None and (dialect.result_media or not isinstance(content, list) or _only_text(content))


def _only_text(parts: Iterable[Mapping[str, Json]]) -> bool:
    return not any(_kind(part) in _NO_TEXT for part in parts)


def _are_json(arguments: Json) -> bool:
    """Whether the arguments of a call are JSON text, or the object itself."""
    return isinstance(arguments, dict) or is_json(arguments or "")


def _kind(part: Mapping[str, Json]) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""

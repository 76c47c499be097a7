"""Sound and pictures in a call: what they cost is another price than that of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from orchestrator_core.orchestration.asked_fields import asked_fields, squeezed
from orchestrator_core.provider_api import ChatRequest, FilePart, Json, Part, ToolResultPart, Usage
from orchestrator_core.sessions.weights import FILE

SOUND: Final = "output_audio_tokens"
PICTURES: Final = "output_image_tokens"
"""Counts of `UsageDetails` that an answer's tokens may belong to."""

_MODALITIES: Final = frozenset(("modalities", "responsemodalities", "outputmodalities"))
_SETTINGS: Final[Mapping[str, str]] = {"audio": SOUND, "speechconfig": SOUND, "imageconfig": PICTURES}
_WORDS: Final[Mapping[str, str]] = {"audio": SOUND, "image": PICTURES}


def asked_media(request: ChatRequest) -> Mapping[str | None, str]:
    """Return what is to be in the answer beside text: the counts of it, each with the place of a field that asks so.

    A kind that nobody here knows is None.
    """
    asked: dict[str | None, str] = {}
    for place, name, value in asked_fields(request):
        if value is None or value is False:
            continue
        spelt = squeezed(name)
        if spelt in _SETTINGS:
            asked[_SETTINGS[spelt]] = place
        elif spelt in _MODALITIES:
            words = [each.casefold() if isinstance(each, str) else "" for each in _listed(value)]
            asked.update((_WORDS.get(word), place) for word in words if word != "text")
    return asked


def as_medium(usage: Usage, count: str) -> Usage:
    """Return the same usage, with all of the output being sound or pictures."""
    made = usage.output_tokens
    sound, pictures = (made, 0) if count == SOUND else (0, made)
    details = replace(usage.details, output_audio_tokens=sound, output_image_tokens=pictures)
    return replace(usage, details=details)


def heard_tokens(request: ChatRequest) -> int:
    """Return about how many tokens of what a call sends are sound. Of most earlier answers only the text is sent."""
    said = (message for message in request.messages if message.role != "assistant")
    parts: Iterator[Part] = (part for message in said for part in message.parts)
    return round(FILE) * sum(map(_sounds, parts))


def _listed(value: Json) -> Sequence[Json]:
    return value if isinstance(value, list) else [value]


def _sounds(part: Part) -> int:
    if isinstance(part, FilePart):
        return (part.media_type or "").casefold().startswith("audio/")
    if isinstance(part, ToolResultPart) and not isinstance(part.content, str):
        return sum(map(_sounds, part.content))
    return 0

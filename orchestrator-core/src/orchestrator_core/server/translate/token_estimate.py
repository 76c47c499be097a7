"""How many tokens a request has, roughly: no two vendors count alike, and most of them say so only when they answer."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Final

from orchestrator_core.provider_api import (
    ChatRequest,
    FilePart,
    ImagePart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

BYTES_PER_TOKEN: Final = 4
"""Of text in UTF-8: English has about four letters a token, Chinese about one character, which is three bytes."""

TOKENS_PER_MESSAGE: Final = 4
"""What surrounds a message."""

TOKENS_PER_REQUEST: Final = 4
"""What surrounds a conversation."""

TOKENS_PER_IMAGE: Final = 1_600
"""An image of the size to which vendors scale down (1,568 pixels; Anthropic's vision guide: width * height / 750)."""

BYTES_PER_FILE_TOKEN: Final = 32
"""Of a document's data in base64. PDF pages are mostly fonts and layout; this errs on the high side for scans."""


def estimate_tokens(request: ChatRequest) -> int:
    """Return about how many input tokens a request has, with its tools and the form of its answer."""
    total = float(TOKENS_PER_REQUEST)
    for message in request.messages:
        total += TOKENS_PER_MESSAGE + _parts(message.parts)
    for tool in request.tools:
        total += _text(tool.name) + _text(tool.description or "") + _json(tool.parameters or {}) + TOKENS_PER_MESSAGE
    if request.response_format is not None:
        total += _json(request.response_format.json_schema or {})
    return math.ceil(total)


def _parts(parts: Sequence[Part]) -> float:
    return sum(_part(part) for part in parts)


def _part(part: Part) -> float:
    match part:
        case TextPart(text=text) | ReasoningPart(text=text) | RefusalPart(text=text):
            return _text(text)
        case ToolCallPart():
            return _text(part.name) + _text(part.arguments) + TOKENS_PER_MESSAGE
        case ToolResultPart(content=content):
            return TOKENS_PER_MESSAGE + (_text(content) if isinstance(content, str) else _parts(content))
        case ImagePart():
            return TOKENS_PER_IMAGE
        case FilePart():
            plain = (part.media_type or "").startswith("text/")
            # Three bytes of data are four of base64.
            return len(part.data or "") * 0.75 / BYTES_PER_TOKEN if plain else _file(part)
        case OpaquePart():
            return _json(part.provider_metadata)


def _file(part: FilePart) -> float:
    return max(TOKENS_PER_IMAGE, len(part.data or "") / BYTES_PER_FILE_TOKEN)


def _text(text: str) -> float:
    return len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN


def _json(value: object) -> float:
    return _text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

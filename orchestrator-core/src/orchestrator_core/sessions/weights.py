"""What messages weigh: about how many tokens they are, before anybody counts them.

Text is weighed by the bytes of its UTF-8: about four to a token where they are ASCII, about three where they are not.
So a word of English, a syllable of Russian and a Chinese character each come out near what today's vocabularies make
of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from orchestrator_core.provider_api import (
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

ASCII_BYTES: Final = 4.0
"""Bytes of ASCII in a token."""

OTHER_BYTES: Final = 3.0
"""Bytes of any other character in a token: 0.7 tokens for a letter with an accent, 1 for a Chinese character."""

MESSAGE: Final = 4.0
"""Tokens around a message: its role and its marks."""

CALL: Final = 12.0
"""Tokens around a call, a result, or a tool."""

IMAGE: Final = 1000.0
"""Tokens of an image; vendors count from 250 to 1,600, most of them by its size."""

SMALL_IMAGE: Final = 100.0
"""Tokens of an image that the caller wants seen in low detail."""

FILE: Final = 3000.0
"""Tokens of a file that is no plain text."""

OPAQUE: Final = 300.0
"""Tokens of what only one provider can read."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What something weighs, in tokens of no provider in particular.

    Attributes:
        text: What is text. Providers' counts correct it.
        other: What is counted flat: images, files, and what nobody here can read.
    """

    text: float = 0.0
    other: float = 0.0

    @property
    def total(self) -> float:
        """Both together."""
        return self.text + self.other

    def __add__(self, more: Weight) -> Weight:
        return Weight(self.text + more.text, self.other + more.other)


def weigh_text(text: str) -> float:
    """Return what a text weighs."""
    if text.isascii():
        return len(text) / ASCII_BYTES
    plain = len(text.encode("ascii", "ignore"))
    return plain / ASCII_BYTES + (len(text.encode("utf-8", "replace")) - plain) / OTHER_BYTES


def weigh_message(message: Message) -> Weight:
    """Return what a message weighs."""
    return weigh((message,))


def weigh(messages: Iterable[Message]) -> Weight:
    """Return what messages weigh together."""
    text = other = 0.0
    for message in messages:
        text += MESSAGE
        for part in message.parts:
            if type(part) is TextPart:  # most of them are
                text += weigh_text(part.text)
            else:
                weight = weigh_part(part)
                text, other = text + weight.text, other + weight.other
    return Weight(text, other)


def weigh_part(part: Part) -> Weight:
    """Return what a part of a message weighs."""
    match part:
        case TextPart(text=text) | RefusalPart(text=text):
            return Weight(weigh_text(text))
        case ToolCallPart(name=name, arguments=arguments):
            return Weight(CALL + weigh_text(name) + weigh_text(arguments))
        case ToolResultPart(content=content):
            parts = (TextPart(text=content),) if isinstance(content, str) else content
            return sum(map(weigh_part, parts), Weight(CALL))
        case ImagePart(detail=detail):
            return Weight(other=SMALL_IMAGE if detail == "low" else IMAGE)
        case FilePart(data=str() as data, media_type=str() as kind) if kind.casefold().startswith("text/"):
            return Weight(len(data) * 3 / 4 / ASCII_BYTES)  # base64
        case FilePart():
            return Weight(other=FILE)
        case OpaquePart():
            return Weight(other=OPAQUE)
    return Weight()  # thoughts: most providers leave those of earlier turns out

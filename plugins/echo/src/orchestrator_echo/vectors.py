"""Vectors without a model: texts that share words are close."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from orchestrator_echo.words import READ

DIMENSIONS = 16
"""The length of a vector where nobody asks for another."""

MAX_DIMENSIONS = 4096
"""The longest vector."""

_WORK = 2**18
"""The most numbers that are added for one text: of a longer one, the first words count."""


def embed(text: str | Sequence[int], dimensions: int = DIMENSIONS) -> list[float]:
    """Return the unit vector of a text or of token ids: the sum of one hashed direction for each word."""
    words = text[:READ].lower().split() if isinstance(text, str) else [str(token) for token in text[:READ]]
    total = [0.0] * dimensions
    for word in words[: _WORK // dimensions] or [""]:
        for index, value in enumerate(_direction(word, dimensions)):
            total[index] += value
    length = math.sqrt(sum(value * value for value in total)) or 1.0
    return [value / length for value in total]


def _direction(word: str, dimensions: int) -> list[float]:
    digest = hashlib.shake_128(word.encode()).digest(dimensions)
    return [byte / 127.5 - 1.0 for byte in digest]

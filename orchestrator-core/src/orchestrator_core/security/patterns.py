"""Text in paths and ids that only an attacker sends.

Looked at only where a request leads nowhere: what a route serves is no attack, and what people say to a model is
never looked at (somebody may well ask it about `../` or `admin`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

MAX_EXAMINED = 2048
"""Characters of a path that are looked at."""

_ORDINARY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ROUNDS = 3


class SuspiciousPatterns:
    """The configured patterns, compiled."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Compile the patterns.

        Args:
            patterns: Regular expressions, searched for without regard to case.
        """
        self._patterns = [re.compile(pattern, re.IGNORECASE) for pattern in patterns]

    def match(self, text: str) -> str | None:
        """Return the first pattern that a path, a query or an id matches; None where it looks ordinary.

        Args:
            text: As it was received. It is looked at as it is and percent-decoded, as often as an attacker may have
                encoded it.
        """
        text = text[:MAX_EXAMINED]
        if _ORDINARY.fullmatch(text):
            return None
        for _ in range(_ROUNDS):
            for pattern in self._patterns:
                if pattern.search(text):
                    return pattern.pattern
            decoded = unquote(text)
            if decoded == text:
                return None
            text = decoded
        return None

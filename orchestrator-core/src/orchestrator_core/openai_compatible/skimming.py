"""Knows the chunks of a stream that hold more text and nothing else, without taking them apart.

A client of the same protocol gets their bytes, and of all that they say the gateway needs no more than how long the
text is. Most chunks of a stream are like the one before them but for their text, which is found sooner than any chunk
can be read.
"""

from __future__ import annotations

import re

_FACT = rb'"(?:usage": ?null|(?!usage")\w+": ?(?:"[^"\\]*"|\d+|null))'
_TEXT = rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
_PLAIN = re.compile(
    rb'\{(?:%(fact)s, ?)*"choices": ?\[\{"index": ?0, ?"delta": ?\{"content": ?(%(text)s)\}'
    rb'(?:, ?"logprobs": ?null)?, ?"finish_reason": ?null\}\](?:, ?%(fact)s)*\}' % {b"fact": _FACT, b"text": _TEXT}
)
"""A chunk with more of the text of the first choice and nothing else but plain facts, as most are."""

_PADDED = re.compile(rb'.*"obfuscation": ?"(?=[A-Za-z0-9]*"\}$)')
"""What comes before the padding of a chunk of OpenAI's (API reference, `stream_options.include_obfuscation`)."""

_NO_TEXT = bytes(range(32)) + b'"\\'
"""What does not stand for itself in JSON text."""

_NOWHERE = (b"\n", b"", b"")
"""The surroundings of no text: no event has a line break."""


class Skimmer:
    """Looks at the chunks of one stream."""

    __slots__ = ("_after", "_before", "_closing")

    def __init__(self) -> None:
        """Begin without a chunk to compare others with."""
        self._before, self._after, self._closing = _NOWHERE

    def text_bytes(self, data: bytes) -> int | None:
        """Return the bytes of text in a chunk that has more of the text of the first choice; None of any other.

        None too of one that may hold an error: what is like another but for plain text holds none, as that did not.
        """
        size = self._like_the_last(data)
        if size is not None:
            return size
        if b'"error"' in data:
            return None
        found = _PLAIN.fullmatch(data)
        if found is None:
            return None
        begin, end = found.start(1) + 1, found.end(1) - 1  # without its quotes
        self._before, after = data[:begin], data[end:]
        padded = _PADDED.match(after)
        self._after, self._closing = (after, b"") if padded is None else (padded[0], b'"}')
        return end - begin

    def _like_the_last(self, data: bytes) -> int | None:
        """Return it of a chunk that is the last one but for its text; not of a text with escapes."""
        before, after, closing = self._before, self._after, self._closing
        end = data.find(b'"', len(before))
        if end < 0 or not data.startswith(before):
            return None
        rest = data[end:]
        if closing:
            alike = rest.startswith(after) and rest.endswith(closing) and rest[len(after) : -len(closing)].isalnum()
        else:
            alike = rest == after
        text = data[len(before) : end]
        return len(text) if alike and len(text.translate(None, _NO_TEXT)) == len(text) else None

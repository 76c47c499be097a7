"""How much the echo reads: it works on the event loop, which everybody shares, and anybody may send it megabytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

READ = 200_000
"""The most characters that are looked at word by word."""


def count(texts: Iterable[str]) -> int:
    """Return the words of texts, which are the echo's tokens; beyond `READ` characters their number is estimated."""
    left, read, whole, words = READ, 0, 0, 0
    for text in texts:
        whole += len(text)
        if left > 0:
            piece = text[:left]
            words += len(piece.split())
            read += len(piece)
            left -= len(piece)
    return words if read == whole else round(words * whole / read)


def newest(texts: Iterable[str]) -> list[str]:
    """Return the last texts that are `READ` characters together, in their order; of the first of them its beginning."""
    return list(_newest(texts))[::-1]


def _newest(texts: Iterable[str]) -> Iterator[str]:
    left = READ
    for text in reversed(list(texts)):
        if left <= 0:
            return
        yield text[:left]
        left -= len(text)

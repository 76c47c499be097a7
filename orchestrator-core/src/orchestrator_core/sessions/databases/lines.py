"""Lines of those who wait for a row that somebody holds, so that they need no connection while they wait."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable


class Lines:
    """One line for each row that is held: its first tries to get the row, and all others wait for the first."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, _Line] = {}

    def __contains__(self, row: Hashable) -> bool:
        """Whether anybody waits for a row."""
        return row in self._lines

    def place(self) -> Place:
        """Return a place in no line yet, for one who may have to wait."""
        return Place(self._lines)


class Place:
    """Where one of those who wait stands: in one line at most, so that no two wait for each other."""

    def __init__(self, lines: dict[Hashable, _Line]) -> None:
        self._lines = lines
        self._row: Hashable | None = None

    def is_first(self, row: Hashable) -> bool:
        """Whether it is the first of a row's line."""
        return self._row is not None and self._row == row

    async def stand(self, row: Hashable) -> None:
        """Leave the line, stand in that of a row, and return as its first. A deadline is the caller's."""
        self.leave()
        line = self._lines.setdefault(row, _Line())
        line.length += 1
        try:
            await line.first.acquire()
        except BaseException:
            self._shorten(row)
            raise
        self._row = row

    def leave(self) -> None:
        """Let the next one be the first."""
        if self._row is not None:
            row, self._row = self._row, None
            self._lines[row].first.release()
            self._shorten(row)

    def _shorten(self, row: Hashable) -> None:
        line = self._lines[row]
        line.length -= 1
        if not line.length:
            del self._lines[row]


class _Line:
    __slots__ = ("first", "length")

    def __init__(self) -> None:
        self.first = asyncio.Lock()
        self.length = 0

"""The newest messages of the sessions that were used lately, so that their next turns need not read them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from sys import getsizeof
from typing import Final

from orchestrator_core.provider_api import Json, Message, Part, ToolResultPart
from orchestrator_core.sessions.jobs.beginning import Begun
from orchestrator_core.sessions.jobs.contexts import Kept
from orchestrator_core.sessions.jobs.ending import Ended
from orchestrator_core.sessions.jobs.rows import MessageRow, SessionRow, stored_message
from orchestrator_core.sessions.models import StartedTurn, StoredMessage

MAX_BYTES: Final = 16 * 1024 * 1024
"""Bytes of all that is kept, about."""

LARGEST: Final = 1 / 4
"""The share of it above which a session is not kept: it would push out too many others."""

IDLE: Final = 600.0
"""Seconds after its last turn for which a session is kept at most."""

_MESSAGE: Final = 1000
"""Bytes of a message beside its parts."""

_PART: Final = 500
"""Bytes of a part beside its text."""

_VALUE: Final = 150
"""Bytes of a value that only a provider reads, beside its text."""

_MOST_VALUES: Final = int(MAX_BYTES * LARGEST) // _VALUE
"""Values of a message that are counted: more are too much to be kept, and counting takes the event loop's time."""


class RecentSessions:
    """Keeps messages of one process by sessions; those that had no turn for the longest time go first.

    What is kept says after which turn it was all. Whoever uses it compares that with the session's row, in the
    transaction that begins the next turn: another process may have gone on with the session, or deleted it.

    Used on the event loop only.
    """

    def __init__(
        self, max_bytes: int = MAX_BYTES, idle: float = IDLE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with nothing.

        Args:
            max_bytes: Bytes of all messages, about.
            idle: Seconds after its last turn for which a session is kept.
            clock: Monotonic seconds.
        """
        self._max_bytes = max_bytes
        self._largest = max_bytes * LARGEST
        self._idle = idle
        self._clock = clock
        self._sessions: OrderedDict[tuple[str, str], tuple[Kept, float]] = OrderedDict()
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many sessions are kept."""
        return len(self._sessions)

    def find(self, tenant: str, session_id: str | None) -> Kept | None:
        """Return what is kept of a session."""
        found = None if session_id is None else self._sessions.get((tenant, session_id))
        return None if found is None else found[0]

    def begun(self, tenant: str, begun: Begun, started: StartedTurn) -> None:
        """Keep what a turn under way sees, for the turn that comes after it."""
        if begun.ended is not None:
            return  # it was answered before, and says nothing of how its session stands
        context, key = begun.context, (tenant, begun.session.id)
        if context.whole:
            size = _size_of_session(begun.session) if context.known is None else context.known.size
            for stored, row in zip(started.messages[-len(context.rows) :], context.rows, strict=True):
                size += _size(stored, row)
                if size > self._largest:
                    break  # it is not kept, whatever else there is
            self._put(key, Kept(begun.session, started.messages, started.weight, size))
        else:
            self._drop(key)

    def ended(self, tenant: str, ended: Ended, answer: StoredMessage | None) -> None:
        """Keep what a turn left, if it is complete and all that was kept came before it."""
        session = ended.session
        key = (tenant, session.id)
        kept = self.find(*key)
        if kept is None:
            return  # it may have been deleted meanwhile
        size = 0
        if answer is not None and ended.answer is not None:
            size = _size(answer, ended.answer)
            if any(part.provider_metadata for part in _parts(answer.message)):
                answer = stored_message(ended.answer)  # apart from what its provider may still hold and change
        left = kept.completed(session, answer, size)
        if left is not None:
            self._put(key, left)
        else:
            self._drop(key)

    def drop(self, tenant: str, session_id: str | None) -> None:
        """Keep nothing of a session."""
        if session_id is not None:
            self._drop((tenant, session_id))

    @contextmanager
    def forgetting(self, tenant: str, session_ids: Sequence[str]) -> Iterator[None]:
        """Keep nothing of sessions after what changes or deletes them, however that ends."""
        try:
            yield
        finally:
            for session_id in session_ids:
                self.drop(tenant, session_id)

    def clear(self) -> None:
        """Keep nothing."""
        self._sessions.clear()
        self._size = 0
        self.drop_idle()

    def _put(self, key: tuple[str, str], kept: Kept) -> None:
        self._drop(key)
        if kept.size > self._largest:
            return
        self._sessions[key] = kept, self._clock()
        self._size += kept.size
        while self._size > self._max_bytes:
            self._drop(next(iter(self._sessions)))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._idle, self.drop_idle)

    def _drop(self, key: tuple[str, str]) -> None:
        found = self._sessions.pop(key, None)
        if found is not None:
            self._size -= found[0].size

    def drop_idle(self) -> None:
        """Keep nothing of sessions without a turn for long, and come again for the others."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock()
        while self._sessions:
            key, (_, since) = next(iter(self._sessions.items()))
            if now < since + self._idle:
                self._timer = asyncio.get_running_loop().call_later(since + self._idle - now, self.drop_idle)
                break
            self._drop(key)


def _size_of_session(row: SessionRow) -> int:
    """Return the bytes of a session's row in memory, about."""
    return _MESSAGE + getsizeof(row.metadata) + getsizeof(row.summary_text)


def _size(stored: StoredMessage, row: MessageRow) -> int:
    """Return the bytes of a message in memory, about."""
    parts = _parts(stored.message)
    size = _MESSAGE + getsizeof(row[6]) + _PART * len(parts)
    noted: list[Json] = [part.provider_metadata for part in parts if part.provider_metadata]
    return size + _VALUE * _count(noted) if noted else size


def _parts(message: Message) -> list[Part]:
    """Return the parts of a message, and those within them."""
    parts = list(message.parts)
    for part in message.parts:
        if isinstance(part, ToolResultPart) and not isinstance(part.content, str):
            parts += part.content
    return parts


def _count(values: list[Json]) -> int:
    """Return how many values there are, with those within them; see `_MOST_VALUES`."""
    count = 0
    while values and count < _MOST_VALUES:
        value = values.pop()
        count += 1
        if isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list):
            values += value[:_MOST_VALUES]
    return count

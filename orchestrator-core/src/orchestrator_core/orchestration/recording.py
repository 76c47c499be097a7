"""The events of an answer, collected as they pass."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, TypeAlias

from pydantic_core import to_json

from orchestrator_core.provider_api import ChatEvent

Batches: TypeAlias = AsyncGenerator[Sequence[ChatEvent], None]
"""What a provider gives: its events, those together that came together."""

_OBJECT: Final = 500
"""Bytes of an event beside what it says."""


class Recording:
    """The events of an answer as they pass, unless they become too many.

    Attributes:
        size: Their bytes, about.
        ended: Whether the provider's events came to their end.
    """

    __slots__ = ("_events", "_most", "ended", "size")

    def __init__(self, most: int) -> None:
        """Collect up to so many bytes."""
        self._most = most
        self._events: list[ChatEvent] = []
        self.size = 0
        self.ended = False

    @property
    def events(self) -> Sequence[ChatEvent] | None:
        """All events of an answer that ended; None of one that broke off, was given up, or is too large."""
        return self._events if self.ended and self.size <= self._most else None

    async def listen(self, batches: Batches) -> Batches:
        """Yield the events of a provider, and collect them."""
        async with aclosing(batches):
            async for events in batches:
                for event in events:
                    self._add(event)
                yield events
        self.ended = True

    def _add(self, event: ChatEvent) -> None:
        if self.size <= self._most:
            self.size += _OBJECT + len(to_json(event, bytes_mode="base64", fallback=str))
            self._events.append(event)
            if self.size > self._most:
                self._events.clear()

"""Reading the events of an answer, so that it knows why they were read no further."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TypeAlias

from orchestrator_core.provider_api import ChatEvent

Events: TypeAlias = AsyncGenerator[Iterator[ChatEvent], None]


class reading(AbstractAsyncContextManager[Events]):  # noqa: N801 - it is used as `contextlib.aclosing` is
    """Closes events at the end of a block, and has them raise what the block failed by.

    Whoever gives them then tells a fault of the gateway's own from a client that left, which is a cancellation.
    """

    __slots__ = ("_events",)

    def __init__(self, events: Events) -> None:
        """Take the events that the block reads."""
        self._events = events

    async def __aenter__(self) -> Events:
        """Return the events."""
        return self._events

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them; the error of the block goes on."""
        try:
            if isinstance(error, Exception):
                await self._events.athrow(error)  # does nothing where it is they that failed
        except Exception as raised:
            if raised is not error:
                raise
        finally:
            del error, trace  # an error and a frame that hold each other stay until they are searched for
            await self._events.aclose()

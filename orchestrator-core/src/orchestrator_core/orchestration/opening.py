"""Opens a call: pulls events until the first one that counts, and hands on the rest."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Sequence
from typing import Any, Self

from orchestrator_core.orchestration.recording import Batches, Recording
from orchestrator_core.provider_api import (
    ChatEvent,
    Deadline,
    Finish,
    PluginError,
    ProviderBadResponse,
    ProviderTimeout,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    WholePart,
)
from orchestrator_core.resilience.waits import Waits
from orchestrator_core.telemetry.traces import NO_SPAN, Span

CLOSE_TIMEOUT = 2.0
"""Seconds that a provider's generator has for closing its upstream call."""

_NO_BEGINNING = "The provider did not begin to answer in time."
_NO_END = "The answer was not complete before the deadline."

_EARLY_EVENTS = 50_000
"""More events than this before any content are a provider's fault: they are kept until it comes."""


class OpenStream:
    """A call; once it is open its first content has come, and the commit point is passed.

    Attributes:
        start: The provider's `Start`, once it is open.
        until: When it must be over, in the loop's time.
        early: The events that were pulled while opening, `start` first. What came with the first content is among them.
        span: The span of the call; whoever ends the call ends it.
        recording: What of the answer is kept; None where nothing is.
    """

    def __init__(self, events: Batches, deadline: Deadline, early: list[ChatEvent], waits: Waits) -> None:
        """Wrap a call that is to be opened.

        Args:
            events: What the provider gives.
            deadline: The limits of the call.
            early: Takes what is pulled while opening.
            waits: Looks after the time.
        """
        self.start: Start
        self.early = early
        self.span: Span = NO_SPAN
        self.recording: Recording | None = None
        self._rest = events
        self._deadline = deadline
        self.until = math.inf
        self._waits = waits
        self._late = _NO_BEGINNING
        self._reader: asyncio.Task[object] | None = None
        self._reading = False
        self._expired = self._cancelled = False
        self._closed = False

    async def open(self, limit: float) -> Self:
        """Pull until an event that counts, and return it opened; see `open_stream`.

        There is one time for the whole of the call, which is set anew once it is open where there was less for that:
        it cancels the pull that is under way when the time is over, never the consumer.

        Args:
            limit: Seconds within which it has to come.
        """
        left = self._deadline.remaining()
        self._watch(min(limit, left))
        early = self.early
        try:
            while True:
                events = await self.next()
                if events is None:
                    raise ProviderBadResponse("The provider's answer ended before it began.")
                early += events
                if any(map(_counts, events)):
                    break
                if len(early) > _EARLY_EVENTS:
                    raise ProviderBadResponse("The provider's answer has no content.")
            start = early[0]
            if not isinstance(start, Start):
                raise PluginError("The provider's plugin did not begin with a Start event.")
        except BaseException:
            await self.aclose()
            raise
        self.start = start
        self._late, self._reader = _NO_END, None
        if limit < left:
            self._watch(self._deadline.remaining())
        return self

    async def next(self) -> Sequence[ChatEvent] | None:
        """Return what comes next after the early events; None at the end. One task reads an open call to its end.

        Raises:
            ProviderTimeout: The deadline passed.
            GatewayError: The provider failed after the commit point.
        """
        if self._expired:
            raise ProviderTimeout(self._late)
        reader = self._reader
        if reader is None:
            reader = self._reader = _running(self._waits)
        before = reader.cancelling()
        self._reading = True
        try:
            return await anext(self._rest)
        except StopAsyncIteration:
            self._closed = True
            return None
        except asyncio.CancelledError:
            # Who else has cancelled the task meanwhile wants it to end.
            if self._cancelled and reader.cancelling() <= before + 1:
                raise ProviderTimeout(self._late) from None
            raise
        finally:
            self._reading = False
            if self._cancelled:
                reader.uncancel()  # also where a plugin made something else of it

    async def aclose(self) -> None:
        """Close the upstream call, within `CLOSE_TIMEOUT`. Does nothing after its end."""
        self._waits.end(self)
        if not self._closed:
            await close_generator(self._rest)
            self._closed = True

    def expire(self) -> None:
        """Cancel the pull that is under way, and any later one: the time is over."""
        self._expired = True
        if self._reading and self._reader is not None:
            self._cancelled = self._reader.cancel()

    def _watch(self, seconds: float) -> None:
        """Set the time."""
        self.until = self._waits.loop.time() + seconds
        self._waits.begin(self)


def open_stream(
    events: Batches,
    deadline: Deadline,
    waits: Waits,
    *,
    stream: bool,
    early: list[ChatEvent] | None = None,
) -> Coroutine[Any, Any, OpenStream]:
    """Pull until there is an event with content, a tool call, a refusal or a finish.

    Args:
        events: What a provider's `chat` gave.
        deadline: The limits of the call.
        waits: Looks after the time.
        stream: Whether the upstream streams: then `deadline.first_event` holds too.
        early: Takes what is pulled, for a caller who wants to know it of a call that fails.

    Raises:
        ProviderTimeout: Nothing came in time.
        ProviderBadResponse: The answer ended before it began.
        GatewayError: Anything the provider raised.
    """
    opened = OpenStream(events, deadline, [] if early is None else early, waits)
    return opened.open(deadline.first_event if stream else math.inf)


def replayed(events: Sequence[ChatEvent], deadline: Deadline, waits: Waits) -> OpenStream:
    """Return a call that is open on events that are there already."""
    start = events[0]
    if not isinstance(start, Start):
        raise TypeError("an answer begins with Start")
    opened = OpenStream(_nothing(), deadline, [*events], waits)
    opened.start = start
    return opened


async def _nothing() -> Batches:
    nothing: Sequence[Sequence[ChatEvent]] = ()
    for events in nothing:
        yield events


async def close_generator(events: Batches) -> None:
    """Close a provider's generator; one that does not close in time is left to the garbage collector."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await events.aclose()
    except TimeoutError:
        return


def _running(waits: Waits) -> asyncio.Task[object]:
    task = asyncio.current_task(waits.loop)
    if task is None:
        raise RuntimeError("answers are read in tasks")
    return task


def _counts(event: ChatEvent) -> bool:
    if isinstance(event, (TextDelta, RefusalDelta)):
        return bool(event.text)
    if isinstance(event, ReasoningDelta):
        return bool(event.text or event.provider_metadata)
    return isinstance(event, (ToolCallDelta, WholePart, Finish))

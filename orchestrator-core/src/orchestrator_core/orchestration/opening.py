"""Opens a call: pulls events until the first one that counts, and hands on the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from orchestrator_core.orchestration.recording import Recording
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
from orchestrator_core.telemetry.traces import NO_SPAN, Span

CLOSE_TIMEOUT = 2.0
"""Seconds that a provider's generator has for closing its upstream call."""

_EARLY_EVENTS = 50_000
"""More events than this before any content are a provider's fault: they are kept until it comes."""


class OpenStream:
    """A call whose first content has come: the commit point is passed.

    Attributes:
        start: The provider's `Start`.
        early: The events that were pulled while opening, `start` first.
        span: The span of the call; whoever ends the call ends it.
        recording: What of the answer is kept; None where nothing is.
    """

    def __init__(
        self,
        start: Start,
        early: Sequence[ChatEvent],
        rest: AsyncGenerator[ChatEvent, None],
        deadline: Deadline,
    ) -> None:
        """Wrap an open call."""
        self.start = start
        self.early = early
        self.span: Span = NO_SPAN
        self.recording: Recording | None = None
        self._rest = rest
        self._deadline = deadline
        self._puller: asyncio.Task[object] | None = None
        self._expired = False
        self._closed = False

    async def events(self) -> AsyncGenerator[ChatEvent, None]:
        """Yield all events, the early ones among them, and close the call at the end or when closed.

        One timer stands for the whole of the rest: it cancels the pull that is under way when the deadline passes,
        never the consumer.

        Raises:
            ProviderTimeout: The deadline passed.
            GatewayError: The provider failed after the commit point.
        """
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._deadline.remaining(), self._expire)
        try:
            for event in self.early:
                yield event
            while True:
                if self._overdue():
                    raise _late()
                puller = self._puller = asyncio.current_task()
                try:
                    event = await anext(self._rest)
                except StopAsyncIteration:
                    self._closed = True
                    break
                except asyncio.CancelledError:
                    if self._overdue() and puller is not None and puller.uncancel() == 0:
                        raise _late() from None
                    raise
                finally:
                    self._puller = None
                yield event
        finally:
            timer.cancel()
            await self.aclose()

    async def aclose(self) -> None:
        """Close the upstream call, within `CLOSE_TIMEOUT`. Does nothing after its end."""
        if not self._closed:
            await close_generator(self._rest)
            self._closed = True

    def _overdue(self) -> bool:
        return self._expired

    def _expire(self) -> None:
        self._expired = True
        if self._puller is not None:
            self._puller.cancel()


async def open_stream(
    events: AsyncGenerator[ChatEvent, None],
    deadline: Deadline,
    *,
    stream: bool,
    early: list[ChatEvent] | None = None,
) -> OpenStream:
    """Pull until the first event with content, a tool call, a refusal or a finish.

    Args:
        events: What a provider's `chat` gave.
        deadline: The limits of the call.
        stream: Whether the upstream streams: then `deadline.first_event` holds too.
        early: Takes what is pulled, for a caller who wants to know it of a call that fails.

    Raises:
        ProviderTimeout: Nothing came in time.
        ProviderBadResponse: The answer ended before it began.
        GatewayError: Anything the provider raised.
    """
    limit = deadline.remaining()
    if stream:
        limit = min(limit, deadline.first_event)
    early = [] if early is None else early
    try:
        async with asyncio.timeout(limit):
            async for event in events:
                early.append(event)
                if _counts(event):
                    break
                if len(early) > _EARLY_EVENTS:
                    raise ProviderBadResponse("The provider's answer has no content.")
            else:
                raise ProviderBadResponse("The provider's answer ended before it began.")
    except TimeoutError:
        await close_generator(events)
        raise ProviderTimeout("The provider did not begin to answer in time.") from None
    except BaseException:
        await close_generator(events)
        raise
    start = early[0]
    if not isinstance(start, Start):
        await close_generator(events)
        raise PluginError("The provider's plugin did not begin with a Start event.")
    return OpenStream(start, early, events, deadline)


def replayed(events: Sequence[ChatEvent], deadline: Deadline) -> OpenStream:
    """Return a call that is open on events that are there already."""
    start = events[0]
    if not isinstance(start, Start):
        raise TypeError("an answer begins with Start")
    return OpenStream(start, events, _nothing(), deadline)


async def _nothing() -> AsyncGenerator[ChatEvent, None]:
    nothing: Sequence[ChatEvent] = ()
    for event in nothing:
        yield event


async def close_generator(events: AsyncGenerator[ChatEvent, None]) -> None:
    """Close a provider's generator; one that does not close in time is left to the garbage collector."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await events.aclose()
    except TimeoutError:
        return


def _late() -> ProviderTimeout:
    return ProviderTimeout("The answer was not complete before the deadline.")


def _counts(event: ChatEvent) -> bool:
    if isinstance(event, TextDelta | RefusalDelta):
        return bool(event.text)
    if isinstance(event, ReasoningDelta):
        return bool(event.text or event.provider_metadata)
    return isinstance(event, ToolCallDelta | WholePart | Finish)

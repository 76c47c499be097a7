"""Server-sent events to the client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import HttpVersion11, hdrs, web

from orchestrator_core.provider_api import GatewayError, ServerSentEvent
from orchestrator_core.server.context import CONTEXT
from orchestrator_core.server.errors import Surface, error_body
from orchestrator_core.server.json_answer import dumps

MAX_KEPT = 4 * 1024 * 1024
"""Bytes of an answer that are kept for its idempotency key."""

MAX_TOGETHER = 64 * 1024
"""Bytes of events that are sent in one piece at most."""

AT_ONCE = 64
"""Events that are framed in one piece at most."""

_LINE_FEED, _CARRIAGE_RETURN = ord("\n"), ord("\r")
"""As numbers, which `in` finds in bytes several times sooner than bytes."""
_HEADERS: Final = {
    hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
    # Tells nginx not to collect the stream before it passes it on.
    "X-Accel-Buffering": "no",
}


def framed(data: bytes, event: str | None = None) -> bytes:
    """Return an event as it is on the wire.

    Args:
        data: The event's data; line breaks in it are framed as the format wants.
        event: The event's name.
    """
    if _LINE_FEED in data or _CARRIAGE_RETURN in data:
        data = b"\ndata: ".join(data.splitlines())
    frame = b"data: " + data + b"\n\n"
    return frame if event is None else b"event: " + event.encode() + b"\n" + frame


def _frames(events: Sequence[bytes | ServerSentEvent]) -> bytes:
    if len(events) == 1 and isinstance(events[0], bytes):
        return framed(events[0])
    data = [event for event in events if isinstance(event, bytes)]
    if data and len(data) == len(events):
        joined = b"\n\ndata: ".join(data)
        if joined.count(b"\n") == 2 * (len(data) - 1) and b"\r" not in joined:
            return b"data: " + joined + b"\n\n"
    return b"".join(
        [framed(event) if isinstance(event, bytes) else framed(event.data, event.event) for event in events]
    )


def error_event(error: GatewayError, surface: Surface, request_id: str) -> bytes:
    """Return the event that ends a stream with an error, as it is on the wire."""
    body = dumps(error_body(error, surface, request_id)).encode()
    # OpenAI's streams know no names of events; all others name this one.
    return framed(body, None if surface is Surface.OPENAI else "error")


async def send_bounded(
    request: web.Request,
    response: web.StreamResponse,
    data: bytes,
    *,
    within: float | None = None,
    last: bool = False,
) -> None:
    """Send a piece of a response, its head first.

    Args:
        request: What is answered.
        response: The response.
        data: The piece.
        within: Seconds that it may take; the configured ones where None.
        last: Whether it ends the response.

    Raises:
        asyncio.CancelledError: The client left or does not read.
    """
    try:
        async with asyncio.timeout(request[CONTEXT].settings.client_write_timeout if within is None else within):
            if not response.prepared:
                await response.prepare(request)
            if last:
                await response.write_eof(data)
            else:
                await response.write(data)
    except (ConnectionError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError from None


class _EventStream(web.StreamResponse):
    """A response whose head aiohttp sends with what follows it, not apart."""

    _send_headers_immediately = False


class Outbox:
    """Sends what the streams of a server have to send, one after another, once whoever writes waits for anything."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[EventWriter] = []

    def add(self, writer: EventWriter) -> None:
        """Send what a stream has, soon."""
        if not self._waiting:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._send)
        self._waiting.append(writer)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        unsent = iter(waiting)
        for writer in unsent:
            try:
                writer.flush()
            except BaseException:
                writer.abort()  # its client must not take what comes later for all that there was
                for other in unsent:
                    self.add(other)
                raise


OUTBOX = web.AppKey("orchestrator.outbox", Outbox)


class EventWriter:
    """A response of server-sent events whose head is sent with the first event.

    Events that are written without the event loop running in between, such as those that a provider sent in one
    packet, are sent together: as soon as whoever writes them waits for anything, so that none is ever late.

    A client that left, or that does not read, shows as cancellation: nobody is there to be told of an error.
    """

    __slots__ = (
        "_chunked",
        "_head_sent",
        "_kept",
        "_outbox",
        "_prepared",
        "_protocol",
        "_request",
        "_size",
        "_timeout",
        "_together",
        "_transcript",
        "response",
    )

    def __init__(
        self, request: web.Request, headers: Mapping[str, str] | None = None, *, timeout: float | None = None
    ) -> None:
        """Prepare a response to `request`.

        Args:
            request: What is answered.
            headers: Further headers.
            timeout: Seconds that one write may take; the configured ones where None.
        """
        self.response = _EventStream(headers={**(headers or {}), **_HEADERS})
        if request.version < HttpVersion11:
            self.response.force_close()  # there only the end of the connection ends the stream
        self._request = request
        self._timeout = timeout
        self._protocol = request.protocol
        self._outbox = request.app[OUTBOX]
        context = request[CONTEXT]
        context.stream = self
        self._transcript = context.transcript
        self._kept = 0
        self._together: list[bytes] = []
        self._size = 0
        self._prepared = self._head_sent = False
        self._chunked = False

    @property
    def started(self) -> bool:
        """Whether the head was sent, so that an error can no longer change the status."""
        return self.response.prepared

    async def write(self, *events: bytes | ServerSentEvent) -> None:
        """Send events.

        Args:
            events: Each an event, or the data of one without a name; line breaks in the data are framed as the format
                wants.

        Raises:
            asyncio.CancelledError: The client left or does not read.
        """
        if not self._prepared:
            await self._prepare()
        if len(events) > AT_ONCE:
            for start in range(0, len(events), AT_ONCE):  # each with a time of its own: who reads slowly still reads
                await self.write(*events[start : start + AT_ONCE])
        elif events and not self._add(_frames(events)):  # an empty chunk would end the response
            await self._send()

    async def comment(self, text: str) -> None:
        """Send a comment, which clients pass over unless they look for it.

        Raises:
            asyncio.CancelledError: The client left or does not read.
        """
        if not self._prepared:
            await self._prepare()
        if not self._add(f": {text}\n\n".encode()):
            await self._send()

    async def end(self, *events: bytes | ServerSentEvent) -> web.StreamResponse:
        """Send the last events and end the response; return it, for the handler to return.

        What is kept for a repeat of the request is kept before: who has the end of an answer may ask for it again.

        Raises:
            asyncio.CancelledError: The client left or does not read.
        """
        frame = _frames(events)
        self._keep(frame)
        settle = self._request[CONTEXT].settle
        if settle is not None:
            await settle(self.response)
        return await self._end(frame)

    async def fail(self, error: GatewayError) -> web.StreamResponse:
        """Send an error as the last event, in the convention of the surface, and end the response.

        A handler need not call it: the middleware does, for what a handler raises after its stream has begun.

        Raises:
            asyncio.CancelledError: The client left or does not read.
        """
        context = self._request[CONTEXT]
        frame = error_event(error, context.surface, context.request_id)
        self._keep(frame)
        return await self._end(frame)

    def flush(self) -> None:
        """Send what has come together, without waiting. The outbox calls it."""
        transport = self._protocol.transport
        if not self._together or transport is None or transport.is_closing():
            return
        data = self._take()
        if self._head_sent:
            # aiohttp would do the same, and take longer for it than all else takes that is done for an event.
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
            return
        self._head_sent = True
        # The first step of a write hands the head and these bytes to the connection. It has a second one where the
        # connection takes no more: to wait, which is for the next event, under its time limit.
        step = self.response.write(data)
        try:
            step.send(None)
        except StopIteration:
            return
        step.close()

    def abort(self) -> None:
        """End the connection, so that the client sees that something is missing."""
        if self._protocol.transport is not None:
            self._protocol.transport.abort()

    def _keep(self, frame: bytes) -> None:
        """Keep what was sent for a repeat of the request; an answer that is too long for that is not kept at all."""
        if self._transcript is not None:
            self._kept += len(frame)
            if self._kept > MAX_KEPT:
                self._transcript = self._request[CONTEXT].transcript = None
            else:
                self._transcript.append(frame)

    def _add(self, frame: bytes) -> bool:
        """Add to what is sent next; return whether that can wait until whoever writes waits for anything."""
        if self._transcript is not None:
            self._keep(frame)
        if not self._together:
            self._outbox.add(self)
        self._together.append(frame)
        self._size += len(frame)
        return self._size <= MAX_TOGETHER and not self._protocol.writing_paused

    async def _prepare(self) -> None:
        """Make the head, which is sent before what is sent first."""
        await self.response.prepare(self._request)
        self._chunked = hdrs.TRANSFER_ENCODING in self.response.headers
        self._prepared = True

    async def _send(self) -> None:
        """Send what has come together, in the time that a client has to take it."""
        self._head_sent = True
        await send_bounded(self._request, self.response, self._take(), within=self._timeout)

    async def _end(self, frame: bytes) -> web.StreamResponse:
        await send_bounded(self._request, self.response, self._take() + frame, within=self._timeout, last=True)
        return self.response

    def _take(self) -> bytes:
        frames, self._together, self._size = self._together, [], 0
        return frames[0] if len(frames) == 1 else b"".join(frames)

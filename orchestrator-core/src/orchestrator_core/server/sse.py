"""Server-sent events to the client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web

from orchestrator_core.provider_api import GatewayError, ServerSentEvent
from orchestrator_core.server.context import CONTEXT
from orchestrator_core.server.errors import Surface, error_body
from orchestrator_core.server.json_answer import dumps

MAX_KEPT = 4 * 1024 * 1024
"""Bytes of an answer that are kept for its idempotency key."""

MAX_TOGETHER = 64 * 1024
"""Bytes of events that are sent in one piece at most."""


def framed(data: bytes, event: str | None = None) -> bytes:
    """Return an event as it is on the wire.

    Args:
        data: The event's data; line breaks in it are framed as the format wants.
        event: The event's name.
    """
    if b"\n" in data or b"\r" in data:
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
    request: web.Request, response: web.StreamResponse, data: bytes, *, within: float | None = None
) -> None:
    """Send a piece of a response, its head first; an empty one ends it.

    Args:
        request: What is answered.
        response: The response.
        data: The piece.
        within: Seconds that it may take; the configured ones where None.

    Raises:
        asyncio.CancelledError: The client left or does not read.
    """
    try:
        async with asyncio.timeout(request[CONTEXT].settings.client_write_timeout if within is None else within):
            if not response.prepared:
                await response.prepare(request)
            if data:
                await response.write(data)
            else:
                await response.write_eof()
    except (ConnectionError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError from None


class _EventStream(web.StreamResponse):
    """A response whose head aiohttp sends with what follows it, not apart."""

    _send_headers_immediately = False


class EventWriter:
    """A response of server-sent events whose head is sent with the first event.

    Events that are written without the event loop running in between, such as those that a provider sent in one
    packet, are sent together: as soon as whoever writes them waits for anything, so that none is ever late.

    A client that left, or that does not read, shows as cancellation: nobody is there to be told of an error.
    """

    def __init__(
        self, request: web.Request, headers: Mapping[str, str] | None = None, *, timeout: float | None = None
    ) -> None:
        """Prepare a response to `request`.

        Args:
            request: What is answered.
            headers: Further headers.
            timeout: Seconds that one write may take; the configured ones where None.
        """
        self._request = request
        self._timeout = timeout
        self.response = _EventStream(headers=headers)
        self.response.content_type = "text/event-stream"
        self.response.charset = "utf-8"
        # Tells nginx not to collect the stream before it passes it on.
        self.response.headers["X-Accel-Buffering"] = "no"
        request[CONTEXT].stream = self
        self._transcript = request[CONTEXT].transcript
        self._kept = 0
        self._loop = asyncio.get_running_loop()
        self._together: list[bytes] = []
        self._size = 0

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
        frame = _frames(events)
        self._keep(frame)
        await self._send(frame)

    async def comment(self, text: str) -> None:
        """Send a comment, which clients pass over unless they look for it.

        Raises:
            asyncio.CancelledError: The client left or does not read.
        """
        frame = f": {text}\n\n".encode()
        self._keep(frame)
        await self._send(frame)

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
        await self._send(frame)
        return await self.close()

    async def fail(self, error: GatewayError) -> web.StreamResponse:
        """Send an error as the last event, in the convention of the surface, and end the response.

        A handler need not call it: the middleware does, for what a handler raises after its stream has begun.

        Raises:
            asyncio.CancelledError: The client left or does not read.
        """
        context = self._request[CONTEXT]
        frame = error_event(error, context.surface, context.request_id)
        self._keep(frame)
        await self._send(frame)
        return await self.close()

    async def close(self) -> web.StreamResponse:
        """End the response; return it.

        Raises:
            asyncio.CancelledError: The client left or does not read.
        """
        await self._send(b"")
        return self.response

    def _keep(self, frame: bytes) -> None:
        """Keep what was sent for a repeat of the request; an answer that is too long for that is not kept at all."""
        if self._transcript is not None:
            self._kept += len(frame)
            if self._kept > MAX_KEPT:
                self._transcript = self._request[CONTEXT].transcript = None
            else:
                self._transcript.append(frame)

    async def _send(self, frame: bytes) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._request)
        if frame and not self._request.protocol.writing_paused and self._size + len(frame) <= MAX_TOGETHER:
            if not self._together:
                self._loop.call_soon(self._flush)
            self._together.append(frame)
            self._size += len(frame)
            return
        if pending := self._take():
            await send_bounded(self._request, self.response, pending + frame, within=self._timeout)
            if frame:
                return
        await send_bounded(self._request, self.response, frame, within=self._timeout)

    def _take(self) -> bytes:
        frames, self._together, self._size = self._together, [], 0
        return b"".join(frames)

    def _flush(self) -> None:
        """Send what has come together. The event loop calls it, once whoever writes waits."""
        if not self._together or self._request.transport is None:
            return
        # The first step of a write hands the bytes to the connection. It has a second one where the connection takes no
        # more: to wait, which is for the next event, under its time limit.
        step = self.response.write(self._take())
        try:
            step.send(None)
        except StopIteration:
            return
        except ConnectionError:
            self._request.transport.abort()
        step.close()

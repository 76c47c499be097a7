"""One connection of a client: what aiohttp leaves open of limits, and of errors below the application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from orchestrator_core.config.chance import random_hex
from orchestrator_core.provider_api import GatewayError, InternalError, InvalidRequest, RequestTimeout
from orchestrator_core.security.headers import security_headers
from orchestrator_core.server.errors import Surface, render, surface_of
from orchestrator_core.server.middleware import SERVER_NAME

if TYPE_CHECKING:
    from orchestrator_core.server.listening import ClientServer

MAX_LINE = 8190
"""Bytes of the request line, and of the name and of the value of a header."""

MAX_HEADERS = 128
"""Headers of a request."""

MAX_HEAD = 64 * 1024
"""Bytes of a request's head in all."""

REFUSAL_LINGER = 1.0
"""Seconds for which what a refused client still sends is read, so that it sees the answer and not a reset."""

_TOO_MANY_HEADERS = "Too many headers"
"""How aiohttp's parser begins the error that has no class of its own."""

_logger = structlog.get_logger(__name__)


class Connection(web.RequestHandler):
    """One connection.

    Attributes:
        unsent: Bytes that waited to be sent at the last look, and since when none of them was taken.
    """

    def __init__(self, server: ClientServer, **options: Any) -> None:
        """Make the protocol of a connection.

        Args:
            server: Who counts and watches the connections.
            **options: aiohttp's.
        """
        super().__init__(server, **options)
        self._server = server
        self._address = ""
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_size = 0
        self._line = b""
        self.unsent: tuple[int, float] = (0, 0.0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection and start the time limit of its first request, or refuse it."""
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if peer else ""
        refusal = self._server.take(self._address)
        if refusal is not None:
            self._server.refuse(cast("asyncio.Transport", transport), refusal)
            return
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the time limit."""
        self._stop_head_timer()
        self._server.give_back(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Watch the heads of requests: how long they take, and how long they are."""
        awaits_head = self._request_count == 0 or (self._waiter is not None and not self._waiter.done())
        if awaits_head:
            begun = self._line if self._head_size else b""
            if b"\n" not in begun:
                self._line = _copy_line(begun, data)
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._stop_head_timer()
            self._head_size = 0
            current = self._current_request
            if current is not None and not current.content.is_eof():
                # Only an error can come before a body is complete. aiohttp lets its reader wait, and one that the end
                # of a chunk has just woken looks for no error any more: it is told that this is the end.
                current.content.set_exception(web.RequestPayloadError("framed wrongly"))
                current.content.feed_eof()
                self.close()
        elif awaits_head:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._refuse(_too_large(), "TooLarge")
            elif self._head_timer is None:
                self._start_head_timer()

    def resume_writing(self) -> None:
        """Note that the client takes what it is sent."""
        self.unsent = (0, 0.0)
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature; the text may hold what was sent
    ) -> web.StreamResponse:
        """Answer what never reached the application: no HTTP, or too long a line or header."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        error: GatewayError = InternalError("Something went wrong inside the gateway.")
        if status < 500:
            error = self._judge(exc)
            self._report(type(exc).__name__)
        else:
            _logger.error("Unexpected error below the application", exc_info=exc)
        response = early_answer(error, self._surface())
        response.force_close()
        return response

    def _judge(self, exc: BaseException | None) -> GatewayError:
        if isinstance(exc, LineTooLong):
            if b"\n" not in self._line:
                return InvalidRequest(f"The URL is longer than {MAX_LINE} bytes.", status=414)
            return _too_large()
        if isinstance(exc, BadHttpMessage) and exc.message.startswith(_TOO_MANY_HEADERS):
            return _too_large()
        return InvalidRequest("The request is not valid HTTP.")

    def _surface(self) -> Surface:
        _, _, rest = self._line.partition(b" ")
        return surface_of(rest.partition(b" ")[0].decode("ascii", "replace"))

    def _report(self, reason: str) -> None:
        self._server.events.report("malformed_request", remote=self._address, reason=reason)

    def _start_head_timer(self) -> None:
        self._head_timer = self._loop.call_later(self._server.head_timeout, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_size:
            self._refuse(RequestTimeout("The head of the request did not arrive in time."), "TooSlow")
        else:
            self.force_close()

    def _refuse(self, error: GatewayError, reason: str) -> None:
        """Answer a request whose head is not there yet, and close."""
        self._report(reason)
        self._stop_head_timer()
        if self.transport is not None:
            self.transport.write(as_bytes(early_answer(error, self._surface())))
        self.force_close()


class Refused(asyncio.Protocol):
    """A connection that is one too many: it is answered and closed, whatever it asks for."""

    def __init__(self, transport: asyncio.Transport, error: GatewayError, on_end: Callable[[Refused], object]) -> None:
        """Answer, and take the place of whatever served the connection.

        Args:
            transport: The connection.
            error: Why.
            on_end: Called when the connection is closed.
        """
        self._on_end = on_end
        transport.set_protocol(self)
        transport.write(as_bytes(early_answer(error, Surface.PLAIN)))
        transport.write_eof()
        self._end = asyncio.get_running_loop().call_later(REFUSAL_LINGER, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended is all the same
        """Stop the time limit."""
        self._end.cancel()
        self._on_end(self)


def early_answer(error: GatewayError, surface: Surface) -> web.Response:
    """Return the answer to what no application has seen, with all that every answer has."""
    request_id = f"req_{random_hex()}"
    ids = {"X-Request-Id": request_id, "X-Orchestrator-Request-Id": request_id}
    return render(error, surface, request_id, {**security_headers(tls=False), hdrs.SERVER: SERVER_NAME, **ids})


def as_bytes(response: web.Response) -> bytes:
    """Return an answer as it is on the wire, for a connection that closes after it."""
    body = response.body if isinstance(response.body, bytes) else b""
    head = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    head += [f"{name}: {value}" for name, value in response.headers.items() if name != hdrs.CONTENT_LENGTH]
    head += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(head).encode() + body


def _copy_line(begun: bytes, data: bytes) -> bytes:
    """Copy the request line, or what there is of it, out of what came, behind what came of it before.

    The event loop reads into 256 KiB, and gives back what stayed empty. A connection that kept what came would leave a
    gap too small to read into again, and with each stream the memory of the process would grow.
    """
    came = (begun + data[: MAX_LINE + 2]).lstrip(b"\r\n")  # aiohttp passes over empty lines before it
    line = bytes(memoryview(came)[: MAX_LINE + 2])
    return line[: line.find(b"\n") + 1 or None]


def _too_large() -> InvalidRequest:
    return InvalidRequest(
        f"The head of the request is too large: {MAX_HEADERS} headers, {MAX_LINE} bytes each and {MAX_HEAD} in all are "
        "taken.",
        status=431,
    )

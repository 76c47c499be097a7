"""The listening side: what aiohttp leaves open of time limits, and of errors below the application."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import structlog
from aiohttp import hdrs, web

from orchestrator_core.provider_api import GatewayError, InternalError, InvalidRequest
from orchestrator_core.security.headers import security_headers
from orchestrator_core.server.errors import render, surface_of
from orchestrator_core.server.lifecycle import CANCEL_TIMEOUT
from orchestrator_core.server.middleware import SERVER_NAME

HEADERS_TIMEOUT = 15.0
"""Seconds in which the head of a connection's first request has to be there."""

KEEPALIVE_TIMEOUT = 75.0
"""Seconds for which a connection without a request stays open, the time for the head of the next one included."""

LINGERING_TIME = 2.0
"""Seconds for which the rest of a refused body is read, so that the client sees the answer."""

_FIRST_LINE = 512

_logger = structlog.get_logger(__name__)


class Connection(web.RequestHandler):
    """One connection of a client."""

    def __init__(self, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the time limit of the first request."""
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self._head_timer = loop.call_later(HEADERS_TIMEOUT, self._close_without_request)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the time limit."""
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Keep the beginning of what came, which names the surface should it be no HTTP."""
        self._received = data[:_FIRST_LINE]
        super().data_received(data)

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
            error = InvalidRequest("The request is not valid HTTP, or its head is too large.", status=status)
            _logger.info("Request that is no HTTP", remote=request.remote, reason=type(exc).__name__)
        else:
            _logger.error("Unexpected error below the application", exc_info=exc)
        request_id = f"req_{secrets.token_hex(16)}"
        _, _, rest = self._received.partition(b" ")
        surface = surface_of(rest.partition(b" ")[0].decode("ascii", "replace"))
        ids = {"X-Request-Id": request_id, "X-Orchestrator-Request-Id": request_id}
        headers = {**security_headers(tls=False), hdrs.SERVER: SERVER_NAME, **ids}
        response = render(error, surface, request_id, headers)
        response.force_close()
        return response

    def _close_without_request(self) -> None:
        if self._request_count == 0:
            self.force_close()


class _Server(web.Server):
    """Makes connections of our kind."""

    def __call__(self) -> web.RequestHandler:
        """Make the protocol of a connection."""
        return Connection(self, loop=self._loop, **self._kwargs)


class GatewayRunner(web.AppRunner):
    """Runs the application behind connections with time limits. Bodies are never decompressed."""

    def __init__(self, app: web.Application) -> None:
        """Make a runner; `setup` before use."""
        super().__init__(
            app,
            access_log=None,
            shutdown_timeout=CANCEL_TIMEOUT,
            handler_cancellation=True,
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_TIMEOUT,
            lingering_time=LINGERING_TIME,
        )

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            server.request_handler,
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            loop=asyncio.get_running_loop(),
            **{name: value for name, value in self._kwargs.items() if name != "handler_cancellation"},
        )

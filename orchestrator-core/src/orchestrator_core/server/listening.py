"""The listening side: how many connections there may be, and which of them no longer move."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from aiohttp import web

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import GatewayError, Overloaded, RateLimited
from orchestrator_core.security.events import SecurityEvents
from orchestrator_core.security.networks import Networks, client_of, read_address
from orchestrator_core.server.connection import MAX_HEADERS, MAX_LINE, Connection, Refused
from orchestrator_core.server.lifecycle import CANCEL_TIMEOUT

LINGERING_TIME = 2.0
"""Seconds for which the rest of a refused body is read, so that the client sees the answer."""

LOOKS = 6
"""Looks at connections that do not move, within the time that they have."""

MAX_REFUSED = 64
"""Connections that are refused and still told so; each is one for a moment."""

SETTINGS = web.AppKey("orchestrator.settings", Settings)
EVENTS = web.AppKey("orchestrator.events", SecurityEvents)


class ClientServer(web.Server):
    """Makes, counts and watches the connections of clients.

    Attributes:
        events: Where security events are reported.
        head_timeout: Seconds in which the head of a request has to be there.
    """

    def __init__(self, handler: Any, settings: Settings, events: SecurityEvents, **options: Any) -> None:
        """Make a server; `watch` it while it serves.

        Args:
            handler: What serves requests.
            settings: The limits.
            events: Where security events are reported.
            **options: aiohttp's.
        """
        super().__init__(handler, **options)
        self.events = events
        self.head_timeout = settings.client_head_timeout
        self._write_timeout = settings.client_write_timeout
        self._limit = settings.client_connections_limit
        self._limit_each = settings.max_client_connections_per_address
        self._proxies = Networks(settings.trusted_proxies)
        self._each: Counter[str] = Counter()
        self._refused: set[Refused] = set()

    def __call__(self) -> web.RequestHandler:
        """Make the protocol of a connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def take(self, address: str) -> GatewayError | None:
        """Count a connection, or return why it is refused."""
        if len(self._connections) >= self._limit:
            self.events.report("connection_refused", remote=address, reason="all")
            return Overloaded("The gateway has as many connections as it can keep. Come again in a moment.")
        if self._limit_each is None or self._is_proxy(address):
            return None
        client = client_of(address)
        if self._each[client] >= self._limit_each:
            self.events.report("connection_refused", remote=address, reason="address")
            return RateLimited(f"This address has {self._limit_each} connections already; use those, or close some.")
        self._each[client] += 1
        return None

    def give_back(self, address: str) -> None:
        """Count a connection that was taken as closed."""
        if self._limit_each is None or self._is_proxy(address):
            return
        client = client_of(address)
        self._each[client] -= 1
        if self._each[client] <= 0:
            del self._each[client]

    def refuse(self, transport: asyncio.Transport, error: GatewayError) -> None:
        """Answer a connection that is one too many; while there are many of those, close it without a word."""
        if len(self._refused) >= MAX_REFUSED:
            transport.abort()
        else:
            self._refused.add(Refused(transport, error, self._refused.discard))

    async def watch(self) -> None:
        """Cut off clients that take nothing of what they are sent, until cancelled."""
        while True:
            await asyncio.sleep(self._write_timeout / LOOKS)
            self.look(self._loop.time())

    def look(self, now: float) -> None:
        """Look once at all connections.

        Args:
            now: By the clock of the event loop.
        """
        for connection, transport in list(self._connections.items()):
            waits = transport.get_write_buffer_size()
            if not isinstance(connection, Connection):
                continue
            before, since = connection.unsent
            if not before or waits < before:
                connection.unsent = (waits, now)
            elif now - since < self._write_timeout:
                connection.unsent = (waits, since)
            else:
                transport.abort()

    def _is_proxy(self, address: str) -> bool:
        found = read_address(address)
        return found is not None and bool(self._proxies) and found in self._proxies


class GatewayRunner(web.AppRunner):
    """Runs the application behind such connections. Bodies are never decompressed."""

    def __init__(self, app: web.Application) -> None:
        """Make a runner; `setup` before use."""
        self._settings, self._events = app[SETTINGS], app[EVENTS]
        super().__init__(
            app,
            access_log=None,
            shutdown_timeout=CANCEL_TIMEOUT,
            handler_cancellation=True,
            auto_decompress=False,
            keepalive_timeout=self._settings.client_idle_timeout,
            lingering_time=LINGERING_TIME,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
        )
        self._watch: asyncio.Task[None] | None = None

    async def cleanup(self) -> None:
        """Stop, and close every connection."""
        await super().cleanup()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        watched = ClientServer(
            server.request_handler,
            self._settings,
            self._events,
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            loop=asyncio.get_running_loop(),
            **{name: value for name, value in self._kwargs.items() if name != "handler_cancellation"},
        )
        self._watch = asyncio.create_task(watched.watch())
        return watched

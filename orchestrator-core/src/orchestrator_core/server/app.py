"""The aiohttp application."""

from __future__ import annotations

from aiohttp import hdrs, web
from aiohttp.web_urldispatcher import AbstractRoute

from orchestrator_core.config import Config
from orchestrator_core.orchestration import Gateway
from orchestrator_core.security.countries import Countries
from orchestrator_core.server.body import RequestModel
from orchestrator_core.server.endpoint import Endpoint
from orchestrator_core.server.endpoints import ENDPOINTS
from orchestrator_core.server.lifecycle import LIFECYCLE, Lifecycle
from orchestrator_core.server.listening import EVENTS, SETTINGS
from orchestrator_core.server.load import LOAD, Load
from orchestrator_core.server.middleware import Middleware
from orchestrator_core.server.recent import RECENT, Recent
from orchestrator_core.server.sse import OUTBOX, Outbox

COUNTRIES = web.AppKey("orchestrator.countries", Countries)
"""What knows the countries of addresses, where a file does."""


def make_app(gateway: Gateway, config: Config, countries: Countries | None = None) -> web.Application:
    """Make the application that serves a gateway.

    Args:
        gateway: A gateway, started by the time that requests come.
        config: Its configuration.
        countries: What knows the countries of addresses; read from the file that is configured where None.

    Raises:
        ConfigError: The file of countries cannot be read.
    """
    routes: dict[AbstractRoute, Endpoint] = {}
    lifecycle = Lifecycle()
    countries = countries or Countries.from_settings(config.settings)
    load = Load(config.settings)
    layer = Middleware(gateway, config.settings, lifecycle, routes, countries, load)

    app = web.Application(middlewares=[layer.handle])
    app[LIFECYCLE], app[LOAD], app[SETTINGS], app[EVENTS] = lifecycle, load, config.settings, gateway.events
    app[OUTBOX] = Outbox()
    app[RECENT] = Recent(gateway.events.recent)
    if countries is not None:
        app[COUNTRIES] = countries
    app.on_response_prepare.append(layer.prepare)
    for endpoint in ENDPOINTS:
        if endpoint.request is not None and issubclass(endpoint.request, RequestModel):
            endpoint.request.model_rebuild()
        # RFC 9110, 9.3.2: HEAD is GET without the body, which aiohttp leaves out.
        for method in ("GET", "HEAD") if endpoint.method == "GET" else (endpoint.method,):
            route = app.router.add_route(method, endpoint.path, endpoint.handler, expect_handler=_expect)
            routes[route] = endpoint
    return app


async def _expect(request: web.Request) -> None:
    """Let a client send its body; any other expectation is passed over (RFC 9110, 10.1.1, allows that).

    aiohttp's own handler would answer it before the middleware, and repeat what the client wrote.
    """
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

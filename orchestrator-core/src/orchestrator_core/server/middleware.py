"""What happens to every request, whatever serves it: one layer, in the order that is read here."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping

import structlog
from aiohttp import hdrs, web
from aiohttp.web_urldispatcher import AbstractRoute
from multidict import CIMultiDict

from orchestrator_core.config import Settings
from orchestrator_core.config.chance import random_hex
from orchestrator_core.orchestration import Gateway
from orchestrator_core.provider_api import (
    MASK,
    GatewayError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    PermissionDenied,
    RateLimited,
    RequestTimeout,
    ShuttingDown,
    Unauthenticated,
)
from orchestrator_core.resilience.limits import RequestLimits, quota_of
from orchestrator_core.security.cors import CorsPolicy
from orchestrator_core.security.countries import Countries
from orchestrator_core.security.events import SecurityEvent
from orchestrator_core.security.headers import security_headers
from orchestrator_core.security.patterns import SuspiciousPatterns
from orchestrator_core.security.proxies import TrustedProxies
from orchestrator_core.server.context import CONTEXT, RequestContext
from orchestrator_core.server.endpoint import Endpoint, Handler
from orchestrator_core.server.entrance import Entrance
from orchestrator_core.server.errors import Surface, render, surface_of
from orchestrator_core.server.idempotency import once
from orchestrator_core.server.inspection import Inspector
from orchestrator_core.server.lifecycle import Lifecycle
from orchestrator_core.server.load import Load
from orchestrator_core.server.rate_limit import rate_limit_headers
from orchestrator_core.server.request_spans import begin_request, end_request, method_name
from orchestrator_core.telemetry.logging import assembled
from orchestrator_core.telemetry.redaction import REDACTOR
from orchestrator_core.telemetry.request_record import RequestRecord

SERVER_NAME = "orchestrator"
_CREDENTIAL_HEADERS = (hdrs.AUTHORIZATION, "X-API-Key", "X-Provider-Key")
BROWSER_CHALLENGE = 'Basic realm="Orchestrator: any user name, the client key as password", charset="UTF-8", Bearer'
"""Makes a browser ask for the client key (RFC 7617)."""

CLIENT_CLOSED = 499
"""The status in logs and metrics where the client left before the answer (nginx's word)."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{7,127}")
_SHOWN_PATH = 300
_LONG_TOKEN = re.compile(r"(?!sess_[0-9a-f]{32}\b)[A-Za-z0-9._~%-]{24,}")
"""What may be a credential that somebody put into a path. The ids of sessions are none."""

_EVENTS: tuple[tuple[type[GatewayError], SecurityEvent], ...] = (
    (Unauthenticated, "authentication_failed"),
    (PermissionDenied, "permission_denied"),
    (RateLimited, "rate_limited"),
)
"""The security events that errors are, whatever raised them."""

_logger = structlog.get_logger(__name__)


class Middleware:
    """The layer around all handlers."""

    def __init__(
        self,
        gateway: Gateway,
        settings: Settings,
        lifecycle: Lifecycle,
        endpoints: Mapping[AbstractRoute, Endpoint],
        countries: Countries | None,
        load: Load,
    ) -> None:
        """Make the layer.

        Args:
            gateway: What handlers are given.
            settings: The operator's settings.
            lifecycle: What counts the requests under way.
            endpoints: The endpoint of each route, filled as routes are added.
            countries: What knows the countries of addresses; None where no file does.
            load: What the process has taken on.
        """
        self._gateway = gateway
        self._settings = settings
        self._lifecycle = lifecycle
        self._endpoints = endpoints
        self._limits = RequestLimits(settings, gateway.shared)
        self._cors = CorsPolicy.from_settings(settings)
        self._inspector = Inspector(SuspiciousPatterns(settings.suspicious_patterns))
        self._entrance = Entrance(gateway, settings, countries, load, self._cors, self._inspector)
        self._proxies = TrustedProxies.from_settings(settings)
        always = self._cors.headers(None)
        self._headers = {tls: CIMultiDict({**security_headers(tls=tls), **always}) for tls in (False, True)}

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Serve a request, whatever comes of it."""
        endpoint = self._endpoints.get(request.match_info.route)
        record = RequestRecord(time.monotonic(), _request_id(request))
        context = RequestContext(
            self._gateway,
            self._settings,
            self._limits,
            endpoint,
            surface_of(request.path) if endpoint is None else endpoint.surface,
            record,
            self._proxies.client(request.remote, request.headers, tls=request.secure),
            asks=self._entrance.asks,
        )
        request[CONTEXT] = context
        task = self._lifecycle.enter()
        metrics = self._gateway.metrics
        metrics.requests_in_flight.inc()
        status = CLIENT_CLOSED
        span = begin_request(request, endpoint)
        with record, span:
            try:
                response = await self._answer(request, handler, context)
                status = response.status
                record.sends_head()  # aiohttp does so next, unless it is a stream
            finally:
                self._lifecycle.leave(task)
                metrics.requests_in_flight.inc(-1)
                if context.stream is not None and context.prepared:
                    metrics.streams_in_flight.inc(-1)
                if context.burden is not None:
                    context.burden.close()
                self._record(request, context, status, time.monotonic() - record.begun)
                end_request(span, context, status)
                if context.provider_key is not None:
                    REDACTOR.release(context.provider_key)
                _let_go(context)
        return response

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Complete the head of a response; aiohttp calls this for each, streams and errors among them."""
        context = request.get(CONTEXT)
        headers = response.headers
        tls = request.secure if context is None else context.client.tls
        headers.merge(self._headers[tls])
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None:
            headers.merge(self._cors.headers(origin))
        headers[hdrs.SERVER] = SERVER_NAME
        if context is not None:
            headers["X-Request-Id"] = headers["X-Orchestrator-Request-Id"] = context.request_id
            if context.surface is Surface.ANTHROPIC:
                headers["request-id"] = context.request_id  # where that API's SDK looks for it
            if context.session_id is not None:
                headers["X-Session-Id"] = context.session_id
            if context.turn_id is not None:
                headers["X-Turn-Id"] = context.turn_id
            headers["X-Orchestrator-Overhead-Ms"] = f"{context.record.sends_head() * 1000:.3f}"
            if context.record.cache is not None:
                headers["X-Orchestrator-Cache"] = context.record.cache
            if context.stream is not None:
                self._gateway.metrics.streams_in_flight.inc()
            if context.quotas is not None:
                headers.update(rate_limit_headers(context.quotas))
            context.prepared = True

    async def _answer(self, request: web.Request, handler: Handler, context: RequestContext) -> web.StreamResponse:
        headers: dict[str, str] = {}
        endpoint = context.endpoint
        try:
            self._entrance.let_in(request, context)
            if request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
                return self._entrance.preflight(request)
            self._entrance.inspect(request, context)
            await self._entrance.admit(request, context)
            return await once(request, handler, endpoint)
        except GatewayError as problem:
            error = problem
        except web.HTTPMethodNotAllowed as problem:
            error = MethodNotAllowed(f"{request.method} is not served here; see the header Allow.")
            headers["Allow"] = ", ".join(sorted(problem.allowed_methods))
        except web.HTTPNotFound:
            error = NotFound("There is nothing at this path. GET /openapi.json lists what there is.")
        except web.HTTPException as problem:
            error = InvalidRequest("The request cannot be served.", status=problem.status)
        except asyncio.CancelledError:
            if not self._lifecycle.expired:
                raise
            # The end of the grace period is told to the client; that takes a moment more than the cancellation gives.
            _uncancel()
            error = ShuttingDown("The gateway is stopping. Send the request again.")
        except (Exception, SystemExit):
            # A plugin or a library may call sys.exit, which must not end the server.
            _logger.exception("Unexpected error in a handler")
            error = InternalError("Something went wrong inside the gateway. Its log has the details by request id.")
        context.error = error
        if error.session_id is not None:
            context.session_id, context.turn_id = error.session_id, error.turn_id
        self._report(request, context, error)
        if context.prepared:
            return await self._break_off(request, context, error)
        if isinstance(error, Unauthenticated) and endpoint is not None and endpoint.browsed:
            headers[hdrs.WWW_AUTHENTICATE] = BROWSER_CHALLENGE
        response = render(error, context.surface, context.request_id, headers)
        if isinstance(error, PayloadTooLarge | RequestTimeout | ShuttingDown):
            # The rest of the body is not worth reading, or the next request has to go elsewhere.
            response.force_close()
        return response

    async def _break_off(
        self, request: web.Request, context: RequestContext, error: GatewayError
    ) -> web.StreamResponse:
        """End an answer that has begun: a stream of events with the error as its last, anything else by closing."""
        if context.stream is not None:
            return await context.stream.fail(error)
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError

    def _report(self, request: web.Request, context: RequestContext, error: GatewayError) -> None:
        if isinstance(error, RateLimited):
            context.note(quota_of(error))
        event = context.event or next((event for kind, event in _EVENTS if isinstance(error, kind)), None)
        if event is None and self._inspector.in_error(error):
            event = "suspicious_request"
        if event is not None:
            self._gateway.events.report(
                event, principal=context.principal.id, remote=context.client.address, path=_path(request)
            )

    def _record(self, request: web.Request, context: RequestContext, status: int, seconds: float) -> None:
        record, error = context.record, context.error.code if context.error else None
        endpoint = context.endpoint
        self._gateway.metrics.observe_request(
            context.surface.value,
            status,
            seconds,
            record,
            error,
            streamed=context.stream is not None,
            method=method_name(request.method),
            route=endpoint.path if endpoint else None,
        )
        # Probes come every few seconds and say nothing while they are well.
        logger = assembled(__name__)
        log = logger.debug if endpoint and endpoint.probe and status < 400 else logger.info
        fields = {
            "method": request.method,
            "path": _path(request),
            "status": status,
            "seconds": round(seconds, 4),
            "principal": context.principal.id,
            "remote": context.client.address,
            **record.fields(),
        }
        if error is not None:
            fields["error"] = error
        log("Request", **fields)


def _let_go(context: RequestContext) -> None:
    """Part what holds each other: a stream and its request, and an error, with those that led to it, and its frames.

    Else all that a request made stays until the garbage collector looks, which under many refusals takes half a second
    at a time.
    """
    context.stream = None
    error: BaseException | None = context.error
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__context__


def _request_id(request: web.Request) -> str:
    """Return the client's id of the request, unless it is none, or somebody's credential."""
    given = request.headers.get("X-Request-Id")
    if given and _REQUEST_ID.fullmatch(given) and REDACTOR.redact(given) == given:
        credentials = [request.headers.get(name, "") for name in _CREDENTIAL_HEADERS]
        if not any(given in credential for credential in credentials):
            return given
    return f"req_{random_hex()}"


def _path(request: web.Request) -> str:
    return _LONG_TOKEN.sub(MASK, request.rel_url.raw_path[:_SHOWN_PATH])


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()

"""Who comes in: what is asked of a request before anything is done for it."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from orchestrator_core.config import Settings
from orchestrator_core.orchestration import Gateway
from orchestrator_core.provider_api import (
    InvalidRequest,
    PermissionDenied,
    RateLimited,
    ShuttingDown,
    Unauthenticated,
)
from orchestrator_core.resilience.failed_authentications import FailedAuthentications
from orchestrator_core.security.authentication import Authenticator, basic_password
from orchestrator_core.security.cors import CorsPolicy
from orchestrator_core.security.countries import Countries
from orchestrator_core.security.hosts import HostPolicy
from orchestrator_core.security.network_policy import NetworkPolicy
from orchestrator_core.security.networks import client_of
from orchestrator_core.security.principal import ANONYMOUS, Principal
from orchestrator_core.server.context import RequestContext, read_provider_key
from orchestrator_core.server.endpoint import Endpoint
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.inspection import Inspector
from orchestrator_core.server.load import Load
from orchestrator_core.server.query import check_names
from orchestrator_core.telemetry.redaction import REDACTOR

_CHANGING: Final = frozenset({hdrs.METH_POST, hdrs.METH_PATCH, hdrs.METH_DELETE})
_FOREIGN_PAGE: Final = "Pages of this origin may not call the gateway; see CORS_ALLOWED_ORIGINS."


class Entrance:
    """Refuses what must not come in, and finds out who asks."""

    def __init__(
        self,
        gateway: Gateway,
        settings: Settings,
        countries: Countries | None,
        load: Load,
        cors: CorsPolicy,
        inspector: Inspector,
    ) -> None:
        """Make the entrance.

        Args:
            gateway: What requests are for.
            settings: The operator's settings.
            countries: What knows the countries of addresses; None where no file does.
            load: What the process has taken on.
            cors: Which pages may call.
            inspector: What knows attacks.
        """
        self._gateway = gateway
        self._settings = settings
        self._load = load
        self._cors = cors
        self._inspector = inspector
        self._authenticator = Authenticator(settings, gateway.keys)
        self._failures = FailedAuthentications(settings, gateway.shared)
        self._hosts = HostPolicy(settings)
        self._network = NetworkPolicy(settings, countries)

    @property
    def asks(self) -> bool:
        """Whether anybody is asked for a credential."""
        return self._authenticator.asks

    def let_in(self, request: web.Request, context: RequestContext) -> None:
        """Refuse what is too much, and clients by address, country and how they call the gateway.

        Probes come from wherever the platform has them, tell little, and are needed most where there is too much. Where
        nobody is asked for a credential they may come from a web page too.

        Args:
            request: The request.
            context: What is known of it, and from now on what it is of the load.

        Raises:
            Overloaded: The process has taken on too much.
            PermissionDenied: Its address, its country, the host name that it calls, or the page that sends it is
                refused.
        """
        probe = context.endpoint is not None and context.endpoint.probe
        if not (probe and context.asks) and not self._hosts.allows(request.headers.get(hdrs.HOST), asks=context.asks):
            context.event = "host_refused"
            raise PermissionDenied(
                "The gateway is not called by this host name. Use localhost or 127.0.0.1, or have its operator list "
                "the name in ORCHESTRATOR_ALLOWED_HOSTS."
            )
        if not context.asks and request.method in _CHANGING:
            self._check_page(request)
        if probe:
            return
        context.burden = self._load.take()
        refusal = self._network.refusal(context.client)
        if refusal is not None:
            context.event = refusal.event
            raise PermissionDenied(refusal.message)

    def inspect(self, request: web.Request, context: RequestContext) -> None:
        """Refuse what looks like an attack.

        Raises:
            InvalidRequest: A header or the query does.
            NotFound: The path or an id does.
        """
        error = self._inspector.find(request, context.endpoint)
        if error is not None:
            context.event = "suspicious_request"
            raise error

    async def admit(self, request: web.Request, context: RequestContext) -> None:
        """Find out who asks, and whether that one may, and may now.

        Raises:
            InvalidRequest: The query or the header of the provider's key is not as it must be.
            PermissionDenied: It is not for this client.
            ProviderKeyMalformed: The provider's key is one of the gateway's own.
            RateLimited: The client, or its address, has asked too often.
            ShuttingDown: The gateway is stopping.
            Unauthenticated: The credential is missing or wrong.
        """
        endpoint = context.endpoint
        if self._gateway.stopping and not (endpoint and endpoint.probe):
            raise ShuttingDown("The gateway is stopping. Send the request to another instance.")
        if endpoint is None:
            return  # nothing is there: the router says so
        if endpoint.authenticated or (endpoint.authenticated_in_production and self._settings.production):
            who = await self._authenticate(context, _credential(request, context.surface, endpoint))
            context.principal = who
            # Nobody in particular is told apart by the address.
            client = who.id if who is not ANONYMOUS else f"{who.id} {client_of(context.client.address or '')}"
            context.note(await context.limits.admit_client(client, who.grant.requests_per_minute))
            if endpoint.role == "admin" and not who.admin:
                raise PermissionDenied("This needs the key of an admin, and this credential is a client's.")
            # Only here, so that nobody can try out what the gateway's key is without being counted.
            key = read_provider_key(request, self._authenticator.is_own)
            if key is not None:
                REDACTOR.acquire(key)
                context.provider_key = key
        if "\0" in request.query_string:
            names = (name.replace("\0", "") for name, value in request.query.items() if "\0" in name + value)
            raise InvalidRequest("The query must not hold the character NUL.", param=next(names, None))
        if endpoint.method == "GET" and endpoint.surface is Surface.API and not endpoint.probe:
            check_names(request, endpoint.parameters)

    def preflight(self, request: web.Request) -> web.Response:
        """Answer a browser that asks whether a page may call.

        Raises:
            PermissionDenied: It may not.
        """
        headers = self._cors.preflight(
            request.headers.get(hdrs.ORIGIN), request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS)
        )
        if hdrs.ACCESS_CONTROL_ALLOW_ORIGIN not in headers:
            raise PermissionDenied(_FOREIGN_PAGE)
        return web.Response(status=204, headers=headers)

    def _check_page(self, request: web.Request) -> None:
        """Refuse what a page of elsewhere has a browser send, where no credential keeps it out."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and not self._cors.may_change(origin, request.headers.get(hdrs.HOST)):
            raise PermissionDenied(_FOREIGN_PAGE)

    async def _authenticate(self, context: RequestContext, credential: str | None) -> Principal:
        """Return whoever sent a credential, unless the address has sent too many wrong ones."""
        client = context.client
        if not (self._authenticator.asks and credential and client.address) or client.proxy:
            return await self._authenticator.authenticate(credential)
        address = client_of(client.address)
        try:
            self._failures.check(address, credential)
            try:
                who = await self._authenticator.authenticate(credential)
            except Unauthenticated:
                await self._failures.failed(address)
                raise
        except RateLimited:
            context.event = "authentication_blocked"
            raise
        self._failures.succeeded(address, credential)
        return who


def _credential(request: web.Request, surface: Surface, endpoint: Endpoint) -> str | None:
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic" and endpoint.browsed:
        return basic_password(value)
    # Anthropic's SDK sends its key so.
    return request.headers.get("X-API-Key") if surface in (Surface.OPENAI, Surface.ANTHROPIC) else None

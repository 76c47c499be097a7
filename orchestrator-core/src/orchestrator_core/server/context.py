"""What belongs to one request, and how handlers get at it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from orchestrator_core.provider_api import GatewayError, InvalidRequest, ProviderKeyMalformed, Secret
from orchestrator_core.resilience.limits import Quota, RequestLimits
from orchestrator_core.security.events import SecurityEvent
from orchestrator_core.security.principal import ANONYMOUS, Principal
from orchestrator_core.security.proxies import Client
from orchestrator_core.server.errors import Surface
from orchestrator_core.telemetry.request_record import RequestRecord

if TYPE_CHECKING:
    from orchestrator_core.config import Settings
    from orchestrator_core.orchestration import Gateway
    from orchestrator_core.orchestration.requests import CacheUse
    from orchestrator_core.server.endpoint import Endpoint
    from orchestrator_core.server.load import Burden
    from orchestrator_core.server.sse import EventWriter


@dataclass(slots=True)
class RequestContext:
    """What the middleware knows about a request.

    Attributes:
        gateway: The gateway.
        settings: The operator's settings.
        limits: The limits of requests.
        endpoint: What serves it; None where nothing does.
        surface: Whose conventions hold.
        record: What is learnt about it for logs and metrics.
        client: Where it comes from.
        asks: Whether anybody is asked for a credential.
        burden: What it is of the load of the process; None where it does not count.
        principal: Who asks.
        provider_key: The caller's own key for the provider, which the log masks while the request lives.
        error: What went wrong, for the log.
        event: The security event that this is, where the error alone does not say so.
        body: The body, where something had to read it before the handler.
        stream: The stream of events that answers the request, once there is one.
        transcript: Collects the events that are sent, where they are to be kept.
        settle: Keeps the answer for a repeat of the request, before the client can know that it is whole.
        fingerprint: A digest of all that a request with an idempotency key asks for.
        prepared: Whether the head of the response was sent.
        session_id: The session that the answer is about, for the header `X-Session-Id`.
        turn_id: The turn that it is about, for the header `X-Turn-Id`.
        quotas: How the limits stand that the request was counted by; None where there are none.
    """

    gateway: Gateway
    settings: Settings
    limits: RequestLimits
    endpoint: Endpoint | None
    surface: Surface
    record: RequestRecord
    client: Client
    asks: bool = True
    burden: Burden | None = None
    principal: Principal = ANONYMOUS
    provider_key: Secret | None = None
    error: GatewayError | None = None
    event: SecurityEvent | None = None
    body: bytes | None = None
    stream: EventWriter | None = None
    transcript: list[bytes] | None = None
    settle: Callable[[web.StreamResponse], Awaitable[None]] | None = None
    fingerprint: str | None = None
    prepared: bool = False
    session_id: str | None = None
    turn_id: str | None = None
    quotas: list[Quota] | None = None

    @property
    def request_id(self) -> str:
        """The id of the request."""
        return self.record.request_id

    def note(self, quota: Quota | None) -> None:
        """Remember how a limit stands, for the headers of the answer."""
        if quota is not None:
            self.quotas = [*(self.quotas or ()), quota]


_KEY = re.compile(r"[!-~]+")

CONTEXT = web.RequestKey("orchestrator.context", RequestContext)


def gateway(request: web.Request) -> Gateway:
    """Return the gateway."""
    return request[CONTEXT].gateway


def settings(request: web.Request) -> Settings:
    """Return the operator's settings."""
    return request[CONTEXT].settings


def principal(request: web.Request) -> Principal:
    """Return who makes the request."""
    return request[CONTEXT].principal


def request_id(request: web.Request) -> str:
    """Return the id of the request."""
    return request[CONTEXT].request_id


async def admit_session(request: web.Request, session_id: str) -> None:
    """Count a turn of a session.

    Raises:
        RateLimited: The limit of the session is reached.
    """
    context = request[CONTEXT]
    who = context.principal
    own = who.grant.session_requests_per_minute
    context.note(await context.limits.admit_session(who.tenant, session_id, own))


def tell_session(request: web.Request, session_id: str, turn_id: str | None = None) -> None:
    """Say in the headers of the answer which session and which turn it is about."""
    context = request[CONTEXT]
    context.session_id, context.turn_id = session_id, turn_id


def surface(request: web.Request) -> Surface:
    """Return whose conventions hold."""
    return request[CONTEXT].surface


def provider_key(request: web.Request) -> Secret | None:
    """Return the caller's own key for the provider: `X-Provider-Key`, on `/api/*` also `X-API-Key`."""
    return request[CONTEXT].provider_key


def read_provider_key(request: web.Request, is_own: Callable[[str], bool]) -> Secret | None:
    """Read the caller's own key for the provider from the headers.

    Args:
        request: The request.
        is_own: Whether a text is a key of the gateway's clients.

    Raises:
        InvalidRequest: The header is empty or holds what no key has; no other key is used in its place.
        ProviderKeyMalformed: It holds a key of the gateway's own, which no provider may learn.
    """
    names = ("X-Provider-Key", "X-API-Key") if request.path.startswith("/api/") else ("X-Provider-Key",)
    found: list[str] = []
    for name in names:
        value = request.headers.get(name)
        if value is not None:
            if not _KEY.fullmatch(value):
                raise InvalidRequest(f"The header {name} must hold a provider's key; leave it out to use the server's.")
            if is_own(value):
                raise ProviderKeyMalformed(
                    f"The header {name} holds a key of this gateway: it takes the provider's. Send the gateway's as "
                    "`Authorization: Bearer <key>`."
                )
            found.append(value)
    if len(set(found)) > 1:
        raise InvalidRequest(f"Send one provider key: {' and '.join(names)} differ.")
    return Secret(found[0]) if found else None


def cache_use(request: web.Request) -> CacheUse:
    """Return what the caller wants of the cache of answers, by `Cache-Control` (RFC 9111, 5.2.1)."""
    given = request.headers.getall("Cache-Control", ())
    if not given:
        return "use"
    directives = {directive.strip().lower() for value in given for directive in value.split(",")}
    if "no-store" in directives:
        return "off"
    return "renew" if directives & {"no-cache", "max-age=0"} else "use"


def strict(request: web.Request) -> bool:
    """Return whether the caller refuses an answer for which a parameter was left out (`X-Orchestrator-Strict: true`).

    Raises:
        InvalidRequest: The header holds something else than `true` or `false`.
    """
    value = request.headers.get("X-Orchestrator-Strict", "false").strip().lower()
    if value not in ("true", "false"):
        raise InvalidRequest("The header X-Orchestrator-Strict takes true or false.", param="X-Orchestrator-Strict")
    return value == "true"

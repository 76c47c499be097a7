"""Which web pages may call the gateway (Fetch standard, "CORS protocol")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from orchestrator_core.config import Settings

METHODS: Final = ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS")
"""The methods that the API uses."""

REQUEST_HEADERS: Final = (
    "Accept",
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "User-Agent",
    "X-API-Key",
    "X-Orchestrator-Strict",
    "X-Provider-Key",
    "X-Request-Id",
    "X-Session-Id",
    "anthropic-beta",
    "anthropic-version",
    "traceparent",
    "tracestate",
)
"""The headers that the API reads, and that a page may send. What else the SDKs send is allowed by its prefix."""

EXPOSED_HEADERS: Final = (
    "Idempotency-Replayed",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Orchestrator-Attempts",
    "X-Orchestrator-Cache",
    "X-Orchestrator-Cost",
    "X-Orchestrator-Dropped",
    "X-Orchestrator-Estimated",
    "X-Orchestrator-Model",
    "X-Orchestrator-Overhead-Ms",
    "X-Orchestrator-Provider",
    "X-Orchestrator-Request-Id",
    "X-Request-Id",
    "X-Session-Id",
    "X-Turn-Id",
    "request-id",
    "x-should-retry",
)
"""The response headers that a page may read."""

MAX_AGE: Final = 600
"""Seconds that a browser may remember a preflight."""

_SDK_PREFIXES: Final = ("x-stainless-", "anthropic-", "openai-")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAX_NAME: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_ALLOWED: Final = frozenset(name.lower() for name in REQUEST_HEADERS)


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """Who may call, by environment.

    Attributes:
        origins: The origins that are listed.
        local: Whether any origin of this machine may call, as in development.
    """

    origins: frozenset[str]
    local: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> CorsPolicy:
        """Make the policy: listed origins everywhere, those of this machine in development too."""
        origins = frozenset(origin.lower() for origin in settings.cors_allowed_origins)
        return cls(origins, local=settings.environment == "development")

    def allows(self, origin: str) -> bool:
        """Whether a page of this origin, as the `Origin` header has it, may call."""
        return origin.lower() in self.origins or (self.local and _is_local(origin))

    def may_change(self, origin: str, host: str | None) -> bool:
        """Whether a page of this origin may send what changes something; those that the gateway serves itself may.

        CORS keeps a page from reading answers, and from sending what a form cannot. A POST without a body is sent all
        the same.

        Args:
            origin: The `Origin` header.
            host: The `Host` header, which is that of the page where the gateway served it.
        """
        return self.allows(origin) or (host is not None and origin.lower().partition("://")[2] == host.lower())

    def headers(self, origin: str | None) -> Mapping[str, str]:
        """Return the headers of a response to a request with this `Origin`."""
        if origin is None or not self.allows(origin):
            return {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": ", ".join(EXPOSED_HEADERS),
            "Vary": "Origin",
        }

    def preflight(self, origin: str | None, requested_headers: str | None = None) -> Mapping[str, str]:
        """Return the headers that answer a preflight.

        Args:
            origin: The `Origin` header.
            requested_headers: The `Access-Control-Request-Headers` header.
        """
        headers = self.headers(origin)
        if "Access-Control-Allow-Origin" not in headers:
            return headers
        return {
            **headers,
            "Access-Control-Allow-Methods": ", ".join(METHODS),
            "Access-Control-Allow-Headers": ", ".join(_allowed_headers(requested_headers)),
            "Access-Control-Max-Age": str(MAX_AGE),
            "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        }

    def describe(self) -> str:
        """Return one line for the start-up report. Origins that `origin_problems` refuses are counted, not shown."""
        beyond = [origin for origin in sorted(self.origins) if not (self.local and _is_local(origin))]
        shown = [origin for origin in beyond if not any(origin_problems(origin))]
        parts = ["any origin of this machine", *shown] if self.local else shown
        hidden = len(beyond) - len(shown)
        withheld = f"; {hidden} unsafe or malformed, not shown" if hidden else ""
        return f"CORS: {', '.join(parts) or 'no origin'}{withheld}"


def origin_problems(origin: str) -> Iterator[str]:
    """Yield what makes an origin unsafe or useless in production, without the origin itself."""
    if "*" in origin:
        yield "has a wildcard; list every origin by name"
        return
    if origin.lower() == "null":
        yield "is the opaque one, which any sandboxed page may claim"
        return
    if not (origin.isascii() and origin.isprintable()) or " " in origin:
        yield "has a character that no browser sends in one; write an international name as xn--"
        return
    try:
        parts = urlsplit(origin)
        address = _address(parts)
    except ValueError:
        parts, address = None, None
    if parts is None or address is None or parts.scheme not in _DEFAULT_PORTS:
        yield "is no origin; expected https://host or https://host:port"
        return
    if parts.scheme == "http":
        yield "is plain http; use https"
    if "@" in parts.netloc:
        yield "has a user name; an origin has none"
    if parts.path == "/":
        yield "ends with a slash; browsers send origins without one"
    elif parts.path or "?" in origin or "#" in origin:
        yield "has a path; an origin ends with its host and port"
    elif parts.port == _DEFAULT_PORTS[parts.scheme]:
        yield f"has the port {parts.port}, which browsers leave out; leave it out too"
    elif parts.netloc.rpartition("@")[2].lower() != address:
        yield "is not as browsers send it; expected https://host or https://host:port"


def _address(parts: SplitResult) -> str | None:
    """Return the host and the port as a browser writes them; None where it has no page at such a one.

    Raises:
        ValueError: The port is no number up to 65535, or a host of numbers is no address.
    """
    host = parts.hostname or ""
    labels = host.removesuffix(".").split(".")
    if ":" in host:
        if "%" in host:  # an interface, which is of one machine
            return None
        host = f"[{IPv6Address(host)}]"
    elif _NUMBER.fullmatch(labels[-1]):
        host = str(IPv4Address(host))
    elif len(".".join(labels)) > _MAX_NAME or not all(map(_LABEL.fullmatch, labels)):
        return None
    if parts.port == 0:
        return None
    return host if parts.port is None else f"{host}:{parts.port}"


def _is_local(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    bare = not (parts.path or parts.query or parts.fragment) and "@" not in parts.netloc
    return parts.scheme in ("http", "https") and bare and host in _LOCAL_HOSTS


def _allowed_headers(requested: str | None) -> Iterator[str]:
    yield from REQUEST_HEADERS
    for name in (requested or "").lower().split(","):
        bare = name.strip()
        if bare.startswith(_SDK_PREFIXES) and bare.replace("-", "").isalnum() and bare not in _ALLOWED:
            yield bare

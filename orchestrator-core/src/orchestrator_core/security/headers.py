"""The security headers of every response, errors among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""For JSON and events: a browser that shows them as a page may load and run nothing."""

DOCUMENTATION_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""For the documentation pages: their scripts come from this server, in files; Swagger UI and ReDoc write styles."""

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""For the page at `/`: its scripts and styles come from this server, in files, and it talks to this server alone.

No text can become HTML: the browser refuses every way to do so (trusted types).
"""

STRICT_TRANSPORT: Final = "max-age=31536000; includeSubDomains"
"""One year (RFC 6797); only over TLS, where browsers heed it."""


def security_headers(*, tls: bool, documentation: bool = False) -> Mapping[str, str]:
    """Return the headers of a response.

    Args:
        tls: Whether the client came over TLS, to this process or to the proxy before it.
        documentation: Whether the response is a documentation page.
    """
    headers = {**_ALWAYS, "Content-Security-Policy": DOCUMENTATION_POLICY if documentation else API_POLICY}
    if tls:
        headers["Strict-Transport-Security"] = STRICT_TRANSPORT
    return headers

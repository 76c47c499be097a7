"""What can be called over HTTP."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

NO_HTTP_URL = (
    "expected a URL such as https://host:8443/path: http or https, a port from 1 to 65535, neither query nor fragment"
)
"""What an operator is told whose URL is none that `is_http_url` takes."""

_SCHEMES = ("http://", "https://")
_ADDRESS = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]+)(:\d{0,5})?")
_NEVER = frozenset(" ?#\\")


def is_http_url(url: str) -> bool:
    """Whether a URL has a host and a port that can be called, and nothing that would be lost: no query, no fragment."""
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:
        return False
    address = _ADDRESS.fullmatch(parts.netloc.rpartition("@")[2])
    return url.startswith(_SCHEMES) and url.isprintable() and _NEVER.isdisjoint(url) and bool(address) and port != 0

"""httpx's types for uncommon calls, such as uploads. Its transport is never used: aiohttp's costs a fraction of it."""

from __future__ import annotations

import httpx

from orchestrator_core.provider_api import UpstreamResponse

_OWN_HEADERS = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding", "user-agent"})
"""Headers that the upstream client writes itself."""


async def read_request(request: httpx.Request) -> tuple[dict[str, str], bytes]:
    """Return the headers and the whole body of a request."""
    headers = {name: value for name, value in request.headers.items() if name not in _OWN_HEADERS}
    return headers, await request.aread()


def make_response(answer: UpstreamResponse, request: httpx.Request) -> httpx.Response:
    """Return an answer as httpx's type."""
    return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body, request=request)

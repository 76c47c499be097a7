"""The floor: the least that a proxy on aiohttp does. It reads a body, sends it on, and sends back what comes.

    python -m benchmarks.gateway.passthrough PORT UPSTREAM_URL

It has no keys, no limits, no log, no metrics, no deadlines, and knows nothing of what it carries.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

SESSION = web.AppKey("session", aiohttp.ClientSession)
UPSTREAM = web.AppKey("upstream", str)


async def forward(request: web.Request) -> web.StreamResponse:
    """Send a request on, and its answer back."""
    body = await request.read()
    url, headers = request.app[UPSTREAM] + request.path, {"content-type": "application/json"}
    async with request.app[SESSION].post(url, data=body, headers=headers) as answer:
        if answer.content_type != "text/event-stream":
            data = await answer.read()
            return web.Response(body=data, status=answer.status, content_type=answer.content_type)
        response = web.StreamResponse(status=answer.status, headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


async def _session(app: web.Application) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        app[SESSION] = session
        yield


def main() -> None:
    """Serve until told to stop."""
    app = web.Application(client_max_size=2**24)
    app[UPSTREAM] = sys.argv[2]
    app.cleanup_ctx.append(_session)
    app.router.add_post("/{path:.*}", forward)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), backlog=4096, access_log=None, print=None)


if __name__ == "__main__":
    main()

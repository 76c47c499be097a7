"""An upstream that repeats the credential it was given, everywhere an answer has room for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

PLACES = ("content", "error-400", "error-401", "error-500", "error-200", "html-502", "model", "stream-error")
"""Where the credential is repeated, chosen by the name of the model."""


@dataclass
class EchoingUpstream:
    """A running upstream.

    Attributes:
        url: Its base URL.
        credentials: Every credential that it was given.
    """

    url: str = ""
    credentials: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        credential = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.credentials.append(credential)
        body = await request.json()
        place, stream = str(body.get("model")), bool(body.get("stream"))
        said = f"your key is {credential}"
        if place.startswith(("error-4", "error-5")):
            error = {"message": said, "type": said, "param": credential, "code": credential}
            return web.json_response({"error": error}, status=int(place[-3:]), headers={"x-request-id": credential})
        if place == "error-200":
            return web.json_response({"error": {"message": said, "code": credential}})
        if place == "html-502":
            return web.Response(text=f"<html>{said}</html>", content_type="text/html", status=502)
        if request.path.endswith("/embeddings"):
            row = {"object": "embedding", "index": 0, "embedding": [0.5]}
            return web.json_response({"object": "list", "data": [row], "model": credential, "note": said})
        answer: dict[str, object] = {
            "id": credential,
            "object": "chat.completion",
            "created": 1,
            "model": credential if place == "model" else "m",
            "system_fingerprint": credential,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        if not stream:
            return web.json_response(answer, headers={"x-echo": credential})
        return await self._stream(request, answer, said, broken=place == "stream-error")

    async def _stream(
        self, request: web.Request, answer: dict[str, object], said: str, *, broken: bool
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        head = {**answer, "object": "chat.completion.chunk"}
        delta = {"index": 0, "delta": {"role": "assistant", "content": said}, "finish_reason": None}
        chunks: list[object] = [{**head, "choices": [delta]}]
        if broken:
            chunks.append({"error": {"message": said, "code": said}})
        else:
            chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        for chunk in chunks:
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    async def models(self, request: web.Request) -> web.Response:
        credential = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.credentials.append(credential)
        return web.json_response({"object": "list", "data": [{"id": credential or "m", "object": "model"}]})


@asynccontextmanager
async def echoing_upstream() -> AsyncIterator[EchoingUpstream]:
    """Run the upstream on a port of the loopback."""
    upstream = EchoingUpstream()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", upstream.handle)
    app.router.add_post("/v1/embeddings", upstream.handle)
    app.router.add_get("/v1/models", upstream.models)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    upstream.url = f"http://{host}:{port}/v1"
    try:
        yield upstream
    finally:
        await runner.cleanup()

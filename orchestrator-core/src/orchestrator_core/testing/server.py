"""Serves a fake upstream on the loopback, on a real socket, and knows who left."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import pydantic_core
from aiohttp import web

from orchestrator_core.provider_api import Json, Usage
from orchestrator_core.testing.fake import Asked, FakeUpstream
from orchestrator_core.testing.scenes import PLAIN, Scene

MODELS: Final = ("kit-model", "kit-model-mini")
TEXTS: Final = ("kit-input-alpha", "kit-input-beta", "kit-input-gamma")
EMBEDDING_USAGE: Final = Usage(input_tokens=9)


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to answer with, whatever is asked."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


@dataclass(frozen=True, slots=True)
class Broken:
    """A scene that is not shown to its end.

    Attributes:
        scene: The scene.
        events: How many events of a stream are sent; of a whole body, half is sent where this is not 0.
        hangs: Whether the connection then stays open in silence; else it is closed.
        last: An event that is sent after them.
    """

    scene: Scene
    events: int
    hangs: bool = True
    last: bytes = b""


Script = Scene | Reply | Broken


def vector(text: str) -> list[float]:
    """Return the vector of one of `TEXTS`; 32-bit floats hold it exactly."""
    return [float(TEXTS.index(text)), 0.5, -0.25]


class LoopbackServer:
    """The fake upstream, running.

    Attributes:
        asked: Every request, in order.
        script: What to answer to the next requests; afterwards the healthy answer is given.
        left: Set when a client leaves an answer that hangs.
        ended: How many answers have ended, whether well or because the client left.
    """

    def __init__(self, fake: FakeUpstream) -> None:
        """Prepare a server.

        Args:
            fake: The vendor's wire.
        """
        self.fake = fake
        self.asked: list[Asked] = []
        self.script: deque[Script] = deque()
        self.hanging = asyncio.Event()
        self.left = asyncio.Event()
        self.origin = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.origin = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(request.method, request.path, request.query_string, headers, await request.read())
        self.asked.append(asked)
        operation = self.fake.operation(asked)
        if operation == "models" and not (self.script and isinstance(self.script[0], Reply)):
            return _json(self.fake.models(MODELS))
        if operation == "embeddings" and not (self.script and isinstance(self.script[0], Reply)):
            text = asked.raw.decode(errors="replace")
            found = sorted((word for word in TEXTS if word in text), key=text.index)
            share = Usage(input_tokens=EMBEDDING_USAGE.input_tokens * len(found) // len(TEXTS))
            return _json(self.fake.embeddings([vector(word) for word in found], share))
        script = self.script.popleft() if self.script else PLAIN
        if isinstance(script, Reply):
            return web.Response(status=script.status, body=script.body, headers=script.headers)
        if isinstance(script, Broken):
            return await self._break(request, script, streamed=operation == "stream")
        if operation != "stream":
            return _json(self.fake.chat(script))
        return await self._stream(request, self.frames(script))

    def frames(self, scene: Scene) -> Sequence[bytes]:
        """Return the events of a scene as they travel."""
        return [self.fake.frame(event) for event in self.fake.stream(scene)]

    async def _stream(self, request: web.Request, frames: Sequence[bytes]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for frame in frames:
            await response.write(frame)
        await response.write_eof()
        return response

    async def _break(self, request: web.Request, script: Broken, *, streamed: bool) -> web.StreamResponse:
        if script.events or not script.hangs:
            kind = "text/event-stream" if streamed else "application/json"
            response = web.StreamResponse(headers={"content-type": kind})
            await response.prepare(request)
            body = pydantic_core.to_json(self.fake.chat(script.scene)) if not streamed else b""
            frames = (
                [*self.frames(script.scene)[: script.events], script.last] if streamed else [body[: len(body) // 2]]
            )
            for frame in frames:
                if frame:
                    await response.write(frame)
            if not script.hangs:
                await response.write_eof()
                return response
        self.hanging.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        raise AssertionError("nothing ends this wait but the client's leaving")


def _json(body: Json) -> web.Response:
    return web.Response(body=pydantic_core.to_json(body), content_type="application/json")

"""A server of OpenAI's protocol that answers what a test scripted, and remembers what it was asked."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web


@dataclass
class Scripted:
    """One answer."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class OpenAIServer:
    """The server, on a port of the loopback.

    Attributes:
        asked: Every request, in order.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: deque[Scripted] = deque()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        assert self._runner is not None
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/v1"

    @property
    def body(self) -> Any:
        """The body of the last request."""
        return self.asked[-1].body

    def answers(self, body: Any, status: int = 200, **headers: str) -> None:
        """Answer the next request with JSON."""
        kind = {"content-type": "application/json"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._answers.append(Scripted(json.dumps(body, ensure_ascii=False).encode(), status, {**kind, **named}))

    def answers_raw(self, body: bytes, status: int = 200, content_type: str = "application/json") -> None:
        """Answer the next request with these bytes."""
        self._answers.append(Scripted(body, status, {"content-type": content_type}))

    def streams(self, chunks: Sequence[Any], *, done: bool = True) -> None:
        """Answer the next request with a stream of these chunks."""
        events = [b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n" for chunk in chunks]
        if done:
            events.append(b"data: [DONE]\n\n")
        self.answers_raw(b"".join(events), content_type="text/event-stream; charset=utf-8")

    async def _answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(request.method, request.path, headers, json.loads(raw) if raw else None))
        answer = self._answers.popleft()
        return web.Response(body=answer.body, status=answer.status, headers=answer.headers)


def completion(content: str | None = "Hello", *, finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    """A whole answer."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-test",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
    }


def chunk(choice: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """A chunk of a streamed answer."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "gpt-test",
        "choices": [{"index": choice, "delta": delta, "finish_reason": finish}],
    }


def usage_chunk() -> dict[str, Any]:
    """The chunk with the usage, without choices."""
    return {**chunk(), "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}}

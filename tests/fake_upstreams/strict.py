"""Servers that refuse what a vendor refuses, so that its rules judge a compiled request, and not ours."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

Body = Mapping[str, Any]
Check = Callable[[Body, Mapping[str, str]], Iterator[str]]


@dataclass(frozen=True)
class Rule:
    """Something that a vendor refuses.

    Attributes:
        name: A short name, for messages of tests.
        source: The vendor's documentation, or the recorded error that shows it.
        check: Yields what is wrong with a body and its headers (lower-case names).
    """

    name: str
    source: str
    check: Check


@dataclass(frozen=True)
class Asked:
    """A request that the server got."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Body
    problems: Sequence[str]


class StrictVendor:
    """A vendor's server. Subclasses give the rules, the routes, and the wire of answers and refusals.

    Attributes:
        rules: What is refused.
        answers: Wire answers to give next: a body, a list of events for a stream, or a response that is sent as it is.
            Then the healthy one is given.
        asked: Every request, with what was wrong with it.
        url: The base URL, in the form that the vendor's plugin wants, once the server runs.
    """

    rules: Sequence[Rule] = ()

    def __init__(self) -> None:
        self.answers: deque[Any] = deque()
        self.asked: list[Asked] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    def routes(self) -> Mapping[str, str]:
        """Return the paths that take a POST, as aiohttp writes them, each with the operation's name."""
        raise NotImplementedError

    def base_url(self, origin: str) -> str:
        """Return the base URL for the plugin."""
        return origin

    def streams(self, request: web.Request, body: Body) -> bool:
        """Say whether a stream was asked for."""
        return bool(body.get("stream"))

    def refusal(self, problems: Sequence[str]) -> tuple[int, Any]:
        """Return status and body of the vendor's refusal."""
        raise NotImplementedError

    def healthy(self, operation: str, body: Body, *, stream: bool) -> Any:
        """Return the answer that is given when none is scripted."""
        raise NotImplementedError

    def frame(self, event: Any) -> bytes:
        """Return an event of a stream as bytes; text and bytes are sent as they are."""
        return event if isinstance(event, bytes) else f"data: {json.dumps(event)}\n\n".encode()

    async def handle(self, request: web.Request, operation: str) -> web.StreamResponse:
        body = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}
        problems = [f"{rule.name}: {problem}" for rule in self.rules for problem in rule.check(body, headers)]
        self.asked.append(Asked(request.path, dict(request.query), headers, body, problems))
        if problems:
            status, refusal = self.refusal(problems)
            return web.json_response(refusal, status=status)
        stream = self.streams(request, body)
        answer = self.answers.popleft() if self.answers else self.healthy(operation, body, stream=stream)
        if isinstance(answer, web.Response):
            return answer
        if not stream:
            return web.json_response(answer)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in answer:
            await response.write(self.frame(event))
        return response

    async def __aenter__(self) -> StrictVendor:
        app = web.Application(client_max_size=64 << 20)
        for path, operation in self.routes().items():

            async def handler(request: web.Request, operation: str = operation) -> web.StreamResponse:
                return await self.handle(request, operation)

            app.router.add_post(path, handler)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = self.base_url(f"http://{host}:{port}")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

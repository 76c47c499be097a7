"""Anthropic's SDK in front of a gateway whose providers speak other protocols, or its own."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from anthropic import AsyncAnthropic

from fake_providers.scripted import ScriptedProvider
from orchestrator_echo import EchoProvider
from scripted_gateway import Served, served


@dataclass
class Upstream:
    """A vendor that answers every call with what `play` was told last.

    Attributes:
        url: Its origin.
        calls: The headers and bodies of the calls that came.
    """

    url: str = ""
    calls: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    _status: int = 200
    _body: bytes = b"{}"
    _content_type: str = "application/json"

    def play(self, body: Any, status: int = 200) -> None:
        """Answer from now on with a JSON value, or with a stream where it is text."""
        self._status = status
        self._content_type = "text/event-stream" if isinstance(body, str) else "application/json"
        self._body = body.encode() if isinstance(body, str) else json.dumps(body).encode()

    async def serve(self, request: web.Request) -> web.Response:
        self.calls.append(({key.lower(): value for key, value in request.headers.items()}, await request.json()))
        return web.Response(body=self._body, status=self._status, content_type=self._content_type)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/{path:.*}", server.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    """A gateway in front of the echo and of a provider that does what a test tells it to."""
    async with served(tmp_path, [EchoProvider, ScriptedProvider]) as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: Served) -> AsyncIterator[AsyncAnthropic]:
    """The SDK, pointed at the gateway."""
    async with AsyncAnthropic(api_key="anything", base_url=gateway.url, max_retries=0, timeout=30) as sdk:
        yield sdk


@pytest.fixture(scope="session")
def recordings() -> Callable[[str], Sequence[dict[str, Any]]]:
    """Recorded traffic by vendor and kind, such as `anthropic-chat`."""
    folder = os.environ.get("ORCHESTRATOR_RECORDINGS")
    if not folder:
        pytest.skip("ORCHESTRATOR_RECORDINGS names no folder of recorded traffic")

    def read(kind: str) -> Sequence[dict[str, Any]]:
        found = [json.loads(path.read_text()) for path in sorted(Path(folder).glob(f"{kind}-*.json"))]
        # Another gateway's answers under Anthropic's name end in `[DONE]`, which the SDK itself cannot read.
        found = [record for record in found if "anthropic.com/api/" not in record["url"]]
        assert found, f"no recordings of the kind {kind} in ORCHESTRATOR_RECORDINGS"
        return found

    return read

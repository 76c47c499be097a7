"""OpenAI's SDK on both sides of the gateway: an upstream that plays recorded bytes, and a gateway in front of it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from openai import AsyncOpenAI

from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    hookimpl,
    one_by_one,
)
from orchestrator_openai import OpenAIProvider
from scripted_gateway import served

UPSTREAM_KEY = "sk-proj-" + "Ab1" * 20
COMPARED = pytest.StashKey[Counter[str]]()


@dataclass
class Upstream:
    """An OpenAI API that answers every call with what `play` was told last.

    Attributes:
        url: Its base URL, as OpenAI's SDK takes it.
        calls: The paths, headers and bodies of the calls that came.
    """

    url: str = ""
    calls: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    _status: int = 200
    _body: bytes = b"{}"
    _content_type: str = "application/json"

    def play(self, body: Any, status: int = 200) -> None:
        """Answer from now on with a JSON value, or with a stream where it is text."""
        self._status = status
        self._content_type = "text/event-stream" if isinstance(body, str) else "application/json"
        self._body = body.encode() if isinstance(body, str) else json.dumps(body).encode()

    async def serve(self, request: web.Request) -> web.Response:
        body = await request.json() if request.body_exists else None
        if request.method == "POST":  # the gateway's health probes are GET /models
            self.calls.append((request.path, {key.lower(): value for key, value in request.headers.items()}, body))
        return web.Response(body=self._body, status=self._status, content_type=self._content_type)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", server.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield server
    await runner.cleanup()


@pytest.fixture
async def direct(upstream: Upstream) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's SDK, pointed at the upstream itself."""
    async with AsyncOpenAI(api_key=UPSTREAM_KEY, base_url=upstream.url, max_retries=0) as client:
        yield client


def environment(upstream: Upstream) -> Mapping[str, str]:
    """What a gateway in front of the upstream is configured with."""
    return {
        "OPENAI_API_KEY": UPSTREAM_KEY,
        "OPENAI_BASE_URL": upstream.url,
        "ORCHESTRATOR_ALIASES": '{"fast": "openai/gpt-4o-mini"}',
        "MONITORING_ENABLED": "false",
    }


class TranslatedOpenAI(OpenAIProvider):
    """OpenAI behind the canonical form: no byte of a request or an answer passes through."""

    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        async with aclosing(one_by_one(super().chat(replace(request, native=None, native_options=None)))) as events:
            async for event in events:
                yield event

    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        return await super().embed(replace(request, native=None))


@pytest.fixture(params=[OpenAIProvider, TranslatedOpenAI], ids=["native", "translated"])
async def gateway_url(request: pytest.FixtureRequest, upstream: Upstream, tmp_path: Path) -> AsyncIterator[str]:
    """A gateway that passes through, and one that translates: applications see no difference."""
    async with served(tmp_path, [request.param], environment(upstream)) as gateway:
        yield gateway.url


@pytest.fixture
def translated_openai() -> type[OpenAIProvider]:
    """The plugin that passes nothing through."""
    return TranslatedOpenAI


@pytest.fixture
def upstream_environment(upstream: Upstream) -> Mapping[str, str]:
    """What a gateway in front of the upstream is configured with."""
    return environment(upstream)


@pytest.fixture
def process_url(upstream: Upstream, gateway_process: Callable[..., Any]) -> str:
    """A gateway as its users run it."""
    url: str = gateway_process(environ=environment(upstream)).url
    return url


@pytest.fixture
async def client(gateway_url: str) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's SDK, pointed at the gateway."""
    async with AsyncOpenAI(api_key="anything", base_url=f"{gateway_url}/v1", max_retries=0) as sdk:
        yield sdk


@pytest.fixture(scope="session")
def compared(pytestconfig: pytest.Config) -> Counter[str]:
    """Comparisons that were made, by what was compared; the end of the run prints them."""
    return pytestconfig.stash.setdefault(COMPARED, Counter())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how much of the recorded traffic was compared."""
    counts = config.stash.get(COMPARED, Counter())
    if counts:
        terminalreporter.section("recordings compared through OpenAI's SDK, sync and async")
        for what, count in sorted(counts.items()):
            terminalreporter.write_line(f"{count:4} {what}")
        terminalreporter.write_line(f"{counts.total():4} in all")


@pytest.fixture(scope="session")
def recordings() -> Callable[[str], Sequence[dict[str, Any]]]:
    """Recorded traffic of OpenAI's API by kind: `chat`, `chat_stream`, `embeddings`, `error`."""
    folder = os.environ.get("ORCHESTRATOR_RECORDINGS")
    if not folder:
        pytest.skip("ORCHESTRATOR_RECORDINGS names no folder of recorded traffic")

    def read(kind: str) -> Sequence[dict[str, Any]]:
        found = [json.loads(path.read_text()) for path in sorted(Path(folder).glob(f"openai-{kind}-*.json"))]
        assert found, f"no recordings of the kind {kind} in ORCHESTRATOR_RECORDINGS"
        return found

    return read

"""No credential shows anywhere: not in an answer, a header, a log, a metric, a schema or the database."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from canary.leaks import find_leaks
from fake_packages import install_plugin
from fake_upstreams.echoing import PLACES, EchoingUpstream, echoing_upstream

OPENAI_SHAPE = "sk-proj-{:.48}"
ANTHROPIC_SHAPE = "sk-ant-api03-{:.95}"
FREE_SHAPE = "{:.40}"
SERVED = "w8Xq5LmT0bZc7RnK2vYh9DgJ4sPf6WtA1eUi"
"""The client key of the gateway itself."""


class Canaries:
    """Makes keys, and remembers all of them."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def key(self, shape: str = OPENAI_SHAPE) -> str:
        # As irregular as real ones, so that no piece of one is a piece of another, or of anything else.
        digest = hashlib.sha512(str(len(self.made)).encode()).digest()
        key = shape.format("".join(letter for letter in base64.b64encode(digest * 2).decode() if letter.isalnum()))
        self.made.append(key)
        return key

    def found(self, place: str, data: bytes) -> list[str]:
        return [f"{leak} in {place}" for leak in find_leaks(data, [*self.made, SERVED])]


class Probe:
    """Asks the gateway everything, and searches every answer."""

    def __init__(self, url: str, canaries: Canaries) -> None:
        self.url = url
        self.canaries = canaries
        self._answers: dict[str, bytearray] = {}

    async def ask(self, http: aiohttp.ClientSession, method: str, path: str, **kwargs: Any) -> bytes:
        kwargs["headers"] = {"Authorization": f"Bearer {SERVED}", **kwargs.get("headers", {})}
        async with http.request(method, self.url + path, **kwargs) as response:
            body = await response.read()
            head = json.dumps([str(response.reason), *map(list, response.headers.items())]).encode()
        self._answers.setdefault(f"{method} {path[:40]}", bytearray()).extend(head + b"\n" + body + b"\n")
        return body

    def leaks(self) -> list[str]:
        """Search every answer, for every key that there is by now."""
        return [leak for place, said in self._answers.items() for leak in self.canaries.found(place, bytes(said))]


def chat_body(model: str, stream: bool) -> dict[str, Any]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}]}


def own_key_calls(canaries: Canaries) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Calls with a key of the caller's own, to an upstream that repeats it."""
    for place, stream in itertools.product(PLACES, (False, True)):
        for provider in ("openai", "friend"):
            yield (
                "/v1/chat/completions",
                chat_body(f"{provider}/{place}", stream),
                {"X-Provider-Key": canaries.key()},
            )
            body: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "model": place}
            yield f"/api/v1/{provider}/chat", {**body, "stream": stream}, {"X-API-Key": canaries.key()}
            turn = {"message": "hello", "agent_config": {"provider": provider, "model": place}, "stream": stream}
            yield "/api/orchestrate", turn, {"X-API-Key": canaries.key()}
    for place in PLACES:
        yield "/v1/embeddings", {"model": f"openai/{place}", "input": "a"}, {"X-Provider-Key": canaries.key()}
        yield "/api/v1/openai/embeddings", {"model": place, "input": ["a"]}, {"X-API-Key": canaries.key()}


def misplaced_calls(canaries: Canaries) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Calls with a key in a place where none belongs; the key is the caller's own, so that the gateway knows it."""
    key = canaries.key()
    headers = {"X-API-Key": key, "X-Provider-Key": key}
    good = chat_body("openai/content", stream=False)
    for path in ("/v1/chat/completions", "/api/orchestrate", "/api/v1/openai/chat", "/api/sessions"):
        for bad in (
            {key: 1},
            {"model": key, "messages": good["messages"]},
            {"model": f"openai/{key}", "messages": good["messages"]},
            {"messages": [{"role": key, "content": key}]},
            {"message": key, "agent_config": {"provider": key, key: key}},
            {"message": "x", "agent_config": {"provider": "openai", "model": "content"}, "session_id": key},
            {"user_id": key, "metadata": {key: key}},
            {"message": f"my key is {key}", "agent_config": {"provider": "openai", "model": "content"}},
            {"message": "x", "agent_config": {"provider": "openai", "model": key}},
            {"message": "x", "agent_config": {"provider": "openai", "model": "content", "fallbacks": [key]}},
            {"message": "x", "agent_config": {"provider": "openai", "fallbacks": [f"friend/{key}", f"{key}/m"]}},
        ):
            yield path, bad, headers
    for name in MISPLACED:
        yield "/v1/chat/completions", good, {**headers, name: key}


MISPLACED = (
    "Idempotency-Key",
    "X-Session-Id",
    "X-Request-Id",
    "Content-Type",
    "Accept",
    "Origin",
    "Cookie",
    "User-Agent",
    "Referer",
    "Expect",
)


async def turns_by_a_key(probe: Probe, http: aiohttp.ClientSession, canaries: Canaries) -> None:
    """Turns of a session whose model is the caller's key: what was asked is stored with each."""
    session = json.loads(await probe.ask(http, "POST", "/api/sessions", json={}))["session_id"]
    for provider in ("openai", "friend", "echo"):
        key = canaries.key()
        headers = {"X-Provider-Key": key, "X-Session-Id": session}
        for stream in (False, True):
            body = chat_body(f"{provider}/{key}", stream)
            await probe.ask(http, "POST", "/v1/chat/completions", json=body, headers=headers)
            agent = {"provider": provider, "model": key}
            turn = {"message": "hello", "session_id": session, "agent_config": agent, "stream": stream}
            await probe.ask(http, "POST", "/api/orchestrate", json=turn, headers={"X-API-Key": key})


async def wrong_credentials(probe: Probe, http: aiohttp.ClientSession, canaries: Canaries) -> None:
    for path in ("/v1/chat/completions", "/api/orchestrate", "/api/v1/openai/chat", "/v1/models", "/api/providers"):
        key = canaries.key(FREE_SHAPE)
        method = "GET" if path.endswith(("models", "providers")) else "POST"
        await probe.ask(http, method, path, headers={"Authorization": f"Bearer {key}"})
        await probe.ask(http, method, path, headers={"Authorization": f"Basic {key}", "x-api-key": key})
        await probe.ask(http, method, f"{path}?key={key}", headers={"Authorization": key})
    key = canaries.key()
    for path in (f"/{key}", f"/api/sessions/{key}", f"/api/v1/{key}/chat", f"/v1/models/{key}", f"/docs/{key}"):
        for method in ("GET", "POST", "DELETE"):
            await probe.ask(http, method, path, headers={"X-API-Key": key})


async def everything_readable(probe: Probe, http: aiohttp.ClientSession) -> None:
    for path in (
        "/api/health",
        "/health",
        "/health/ready",
        "/api/providers",
        "/api/metrics",
        "/metrics",
        "/openapi.json",
    ):
        await probe.ask(http, "GET", path)
    for provider in ("openai", "friend", "echo"):
        await probe.ask(http, "GET", f"/api/v1/{provider}/models")
    await probe.ask(http, "GET", "/v1/models")
    page = json.loads(await probe.ask(http, "GET", "/api/sessions?limit=100"))
    for session in page["sessions"]:
        for tail in ("", "/history", "/metrics"):
            await probe.ask(http, "GET", f"/api/sessions/{session['session_id']}{tail}")


def environment(upstream: EchoingUpstream, canaries: Canaries, directory: Path) -> dict[str, str]:
    """Keys from every source that there is."""
    (directory / "key.txt").write_text(canaries.key() + "\n")
    (directory / ".env").write_text(f"MISTRAL_API_KEY={canaries.key(FREE_SHAPE)}\n")
    return {
        "OPENAI_API_KEY": f"{canaries.key()},{canaries.key()}",
        "OPENAI_BASE_URL": upstream.url,
        "FRIEND_API_KEY_FILE": str(directory / "key.txt"),
        "ANTHROPIC_API_KEY": canaries.key(ANTHROPIC_SHAPE),
        "ORCHESTRATOR_SERVERS": json.dumps({"friend": {"base_url": upstream.url}}),
        "ORCHESTRATOR_CLIENT_KEY": SERVED,
        "LOG_LEVEL": "DEBUG",
    }


async def test_two_hundred_keys_in_every_position_show_nowhere(gateway_process: Any, tmp_path: Path) -> None:
    canaries = Canaries()
    async with echoing_upstream() as upstream, aiohttp.ClientSession() as http:
        gateway = gateway_process(environ=environment(upstream, canaries, tmp_path), directory=tmp_path)
        probe = Probe(gateway.url, canaries)
        calls = (*own_key_calls(canaries), *misplaced_calls(canaries))
        await asyncio.gather(*(probe.ask(http, "POST", path, json=body, headers=own) for path, body, own in calls))
        await turns_by_a_key(probe, http, canaries)
        for place in PLACES:
            await probe.ask(http, "POST", "/v1/chat/completions", json=chat_body(f"openai/{place}", stream=True))
        while len(canaries.made) < 200:
            await wrong_credentials(probe, http, canaries)
        await everything_readable(probe, http)
        assert set(canaries.made) & set(upstream.credentials), "the keys never travelled: the test shows nothing"
    gateway.stop()

    leaks = probe.leaks() + canaries.found("log", gateway.log.read_bytes())
    for file in tmp_path.glob("orchestrator.db*"):
        leaks += canaries.found(file.name, file.read_bytes())
    assert leaks == []
    assert len(canaries.made) >= 200


async def test_a_deliberate_leak_is_found(gateway_process: Any, tmp_path: Path) -> None:
    """The search itself works: a key that no part of the gateway knows, said by a user, is in answer and database."""
    canaries = Canaries()
    gateway = gateway_process(directory=tmp_path)
    async with aiohttp.ClientSession() as http:
        probe = Probe(gateway.url, canaries)
        turn = {"message": canaries.key(), "agent_config": {"provider": "echo"}}
        await probe.ask(http, "POST", "/api/orchestrate", json=turn)
    gateway.stop(signal.SIGTERM)

    assert probe.leaks()
    assert any(canaries.found(file.name, file.read_bytes()) for file in tmp_path.glob("orchestrator.db*"))


LEAKY = """\
import base64, logging
from orchestrator_core.provider_api import *


class Provider(ProviderHooks):
    info = ProviderInfo(name="leaky", title="Leaky", capabilities=("chat",), default_model="m")

    @hookimpl
    async def chat(self, request):
        key = request.credential.reveal()
        logging.getLogger("leaky").warning("it is %s", TRICK)
        yield Start()
        yield TextDelta(text="fine")
        yield Finish()
"""


async def logged_by(gateway_process: Any, directory: Path, canaries: Canaries, trick: str) -> list[str]:
    """Run a gateway beside a plugin that logs its credential; return what of it is in the log."""
    path = install_plugin(directory, "orchestrator-leaky", "leaky", LEAKY.replace("TRICK", trick))
    environ = {"PYTHONPATH": path, "LEAKY_API_KEY": canaries.key(FREE_SHAPE)}
    gateway = gateway_process(environ=environ, directory=directory)
    async with aiohttp.ClientSession() as http:
        answer = await Probe(gateway.url, canaries).ask(
            http, "POST", "/v1/chat/completions", json=chat_body("leaky/m", stream=False)
        )
    assert b"fine" in answer
    gateway.stop()
    log = gateway.log.read_bytes()
    assert b"it is" in log
    return canaries.found("log", log)


@pytest.mark.parametrize(
    "trick", ["key[:-4]", "key[5:]", "base64.b64encode(key.encode()).decode()", "'x' + key[3:20]", "key.encode().hex()"]
)
async def test_a_gateway_that_leaks_is_found_out(gateway_process: Any, tmp_path: Path, trick: str) -> None:
    """No redaction knows what a plugin makes of its credential: the search must."""
    assert await logged_by(gateway_process, tmp_path, Canaries(), trick)


async def test_a_plugin_that_logs_its_credential_as_it_is_tells_nothing(gateway_process: Any, tmp_path: Path) -> None:
    assert await logged_by(gateway_process, tmp_path, Canaries(), "key") == []

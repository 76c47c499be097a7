"""Every fault of a provider through the running gateway: what the client gets, after how many calls, and from whom."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fake_providers.scripted import ScriptedProvider
from fake_upstreams.misbehaving import MisbehavingUpstream
from orchestrator_core.resilience import retry
from orchestrator_core.resilience.retry_budget import RetryBudget
from orchestrator_openai import OpenAIProvider
from processes import find_free_port
from scripted_gateway import Reply, Served, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "sk-proj-" + "Ab1" * 20
USER = {"role": "user", "content": "ping"}


@dataclass(frozen=True)
class Expected:
    """What becomes of a fault.

    Attributes:
        status: The HTTP status, where nobody else is left.
        code: The code of the error.
        calls: The calls to the provider, where nobody else is left.
        retry_after: The header of that name; `...` is any.
        fallback: Whether another provider answers, where there is one.
    """

    status: int
    code: str
    calls: int
    retry_after: Any = None
    fallback: bool = True


BAD = Expected(502, "provider_bad_response", 2, "1")
FAILED = Expected(502, "provider_failed", 2, "1")
UNREACHABLE = Expected(502, "provider_unreachable", 2, "1")
REDIRECT = Expected(502, "provider_redirect", 1)
SILENT = Expected(504, "provider_timeout", 1)

ALWAYS = {
    "http-400": Expected(400, "provider_refused", 1, fallback=False),
    "http-404": Expected(404, "provider_refused", 1, fallback=False),
    "http-401": Expected(502, "provider_auth_failed", 1),
    "quota": Expected(429, "provider_quota_exhausted", 1),
    "rate-limit": Expected(429, "provider_rate_limited", 1, "2"),
    "rate-limit-date": Expected(429, "provider_rate_limited", 1, ...),
    "rate-limit-long": Expected(429, "provider_rate_limited", 1, "86400"),
    "rate-limit-bad": Expected(429, "provider_rate_limited", 2, "1"),
    "http-500": FAILED,
    "http-502": FAILED,
    "html-502": FAILED,
    "http-503": Expected(503, "provider_unavailable", 1, "1"),
    "http-529": Expected(503, "provider_unavailable", 2, "1"),
    "hang": SILENT,
    "reset-before": UNREACHABLE,
    "close-before": UNREACHABLE,
    "no-http": BAD,
    "json-invalid": BAD,
    "json-array": BAD,
    "json-null-fields": BAD,
    "no-choices": BAD,
    "html-200": BAD,
    "status-204": BAD,
    "empty": BAD,
    "bad-gzip": BAD,
    "gzip-bomb": BAD,
    "redirect": REDIRECT,
    "redirect-loop": REDIRECT,
    "huge": BAD,
}
"""Before the first content, streamed or not."""

WHOLE = {
    "error-200": BAD,
    "json-truncated": BAD,
    "reset-body": FAILED,
    "short-body": FAILED,
    "slow-stall": SILENT,
    "endless-body": BAD,
}
"""Of answers that are not streamed."""

STREAMED = {
    "error-200": FAILED,
    "sse-error-first": FAILED,
}
"""Of streams."""

BROKEN_STREAMS = {
    "sse-stall": "provider_timeout",
    "sse-bad-json": "provider_bad_response",
    "sse-cut": "provider_bad_response",
    "sse-cut-reset": "provider_failed",
    "sse-error": "provider_failed",
    "sse-error-event": "provider_failed",
    "sse-no-finish": "provider_bad_response",
    "reset-body": "provider_failed",
}
"""After the first content: nobody else is asked, and the stream ends with this error."""

BODIES: dict[str, Any] = {
    "/v1/chat/completions": lambda model: {"model": f"openai/{model}", "messages": [USER]},
    "/api/orchestrate": lambda model: {"message": "ping", "agent_config": {"provider": "openai", "model": model}},
    "/api/v1/openai/chat": lambda model: {"model": model, "messages": [USER]},
}
TWO_WAYS = ("/v1/chat/completions", "/api/orchestrate")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[MisbehavingUpstream]:
    async with MisbehavingUpstream(slow=0.5) as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serving(upstream: MisbehavingUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    environ = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{upstream.url}/v1",
        "MONITORING_ENABLED": "false",
        "ORCHESTRATOR_TOTAL_TIMEOUT": "0.9",
        "ORCHESTRATOR_FIRST_EVENT_TIMEOUT": "0.5",
        "ORCHESTRATOR_IDLE_TIMEOUT": "0.3",
        "ORCHESTRATOR_MAX_RESPONSE_BYTES": "100000",
    }
    async with served(tmp_path_factory.mktemp("faults"), [OpenAIProvider, ScriptedProvider], environ) as gateway:
        yield gateway


@pytest.fixture
def gateway(serving: Served, upstream: MisbehavingUpstream, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The gateway, with nothing left of the tests before."""
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)
    guards = serving.gateway.guards
    monkeypatch.setattr(guards, "budget", RetryBudget())
    guards.keys.forget(serving.gateway.registry.providers["openai"].keys)
    for circuit in guards.breakers.circuits:
        guards.breakers.close(circuit.provider, circuit.model)
    upstream.requests.clear()
    serving.plugins["scripted"].requests.clear()
    return serving


def fall_back(gateway: Served, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    settings = gateway.gateway.config.settings.model_copy(update={"fallbacks": names})
    monkeypatch.setattr(gateway.gateway.router, "_settings", settings)


async def ask(gateway: Served, path: str, behaviour: str, *, stream: bool) -> Reply:
    return await gateway.post(path, {**BODIES[path](f"fault-{behaviour}"), "stream": stream})


def code_of(reply: Reply) -> str:
    body = reply.json
    error = body.get("error")
    return str(error["code"] if isinstance(error, dict) else body.get("code") or body.get("error_type"))


CASES = [(name, expected, stream) for name, expected in ALWAYS.items() for stream in (False, True)]
CASES += [(name, expected, False) for name, expected in WHOLE.items()]
CASES += [(name, expected, True) for name, expected in STREAMED.items()]


@pytest.mark.parametrize("path", TWO_WAYS)
@pytest.mark.parametrize(("behaviour", "expected", "stream"), CASES)
async def test_where_nobody_else_is_left(
    gateway: Served, upstream: MisbehavingUpstream, path: str, behaviour: str, expected: Expected, stream: bool
) -> None:
    reply = await ask(gateway, path, behaviour, stream=stream)

    assert reply.status == expected.status, reply.body
    if expected.code != "provider_refused":  # these are told in the provider's own words
        assert code_of(reply) == expected.code
    assert upstream.requests[behaviour] == expected.calls
    assert upstream.elsewhere == 0
    if expected.retry_after is not ...:
        assert reply.headers.get("Retry-After") == expected.retry_after
    assert (reply.headers["x-orchestrator-provider"], reply.headers["x-orchestrator-attempts"]) == (
        "openai",
        str(expected.calls),
    )
    assert KEY.encode() not in reply.body
    assert b"<html" not in reply.body


@pytest.mark.parametrize("path", TWO_WAYS)
@pytest.mark.parametrize(("behaviour", "expected", "stream"), CASES)
async def test_where_there_is_a_fallback(
    gateway: Served,
    upstream: MisbehavingUpstream,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    behaviour: str,
    expected: Expected,
    stream: bool,
) -> None:
    fall_back(gateway, monkeypatch, "scripted")

    reply = await ask(gateway, path, behaviour, stream=stream)

    assert upstream.requests[behaviour] == 1
    if not expected.fallback:
        assert reply.status == expected.status
        assert gateway.plugins["scripted"].requests == []
    elif expected is SILENT and not stream:
        # An answer that is not streamed may take all the time that the request has.
        assert (reply.status, code_of(reply)) == (504, "provider_timeout")
    else:
        assert reply.status == 200, reply.body
        assert b"pong" in reply.body
        told = {name: reply.headers[f"x-orchestrator-{name}"] for name in ("provider", "model", "attempts")}
        assert told == {"provider": "scripted", "model": "scripted-1", "attempts": "2"}
    if path == "/api/orchestrate" and reply.status == 200:
        answer = json.loads(reply.events[-1]) if stream else reply.json
        attempts = [(each["provider"], each["error"]) for each in answer["metadata"]["attempts"]]
        assert attempts == [("openai", expected.code), ("scripted", None)]


@pytest.mark.parametrize("path", TWO_WAYS)
@pytest.mark.parametrize(("behaviour", "code"), BROKEN_STREAMS.items())
async def test_a_stream_that_breaks_off_has_one_terminal_error(
    gateway: Served,
    upstream: MisbehavingUpstream,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    behaviour: str,
    code: str,
) -> None:
    fall_back(gateway, monkeypatch, "scripted")

    reply = await ask(gateway, path, behaviour, stream=True)

    assert reply.status == 200
    assert upstream.requests[behaviour] == 1
    assert gateway.plugins["scripted"].requests == []
    assert b"[DONE]" not in reply.body
    last = json.loads(reply.events[-1])
    assert code == (last["error"]["code"] if path.startswith("/v1") else last["code"])
    if path == "/api/orchestrate":
        turn = (await gateway.get(f"/api/sessions/{last['session_id']}/turns/{last['turn_id']}")).json
        assert (turn["state"], turn["error_code"]) == ("interrupted", code)


async def test_a_refused_key_is_a_401_where_the_caller_brought_it_and_on_a_connector(gateway: Served) -> None:
    body = BODIES["/v1/chat/completions"]("fault-http-401")
    own = {"X_API_Key": "sk-proj-" + "Zz9" * 20}

    assert (await gateway.post("/v1/chat/completions", body)).status == 502
    assert (await gateway.post("/api/orchestrate", BODIES["/api/orchestrate"]("fault-http-401"), **own)).status == 401
    assert (await ask(gateway, "/api/v1/openai/chat", "http-401", stream=False)).status == 401


@pytest.mark.parametrize("path", TWO_WAYS)
async def test_a_stream_without_its_mark_of_the_end_is_complete(gateway: Served, path: str) -> None:
    reply = await ask(gateway, path, "sse-no-done", stream=True)

    assert b"error" not in reply.body.replace(b'"error":null', b"").replace(b'"error": null', b"")
    last = reply.events[-1]
    assert last == b"[DONE]" if path.startswith("/v1") else json.loads(last)["type"] == "done"


async def test_one_that_nobody_listens_at_is_passed_by_at_once(tmp_path: Path) -> None:
    environ = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{find_free_port()}/v1",
        "MONITORING_ENABLED": "false",
        "ORCHESTRATOR_FALLBACKS": "scripted",
    }
    async with served(tmp_path, [OpenAIProvider, ScriptedProvider], environ) as gateway:
        reply = await ask(gateway, "/api/orchestrate", "ok", stream=False)

    assert reply.status == 200
    assert [each["error"] for each in reply.json["metadata"]["attempts"]] == ["provider_unreachable", None]

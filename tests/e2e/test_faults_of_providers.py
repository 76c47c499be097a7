"""Every fault of a provider through the running gateway: what the client gets, after how many calls, and from whom."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from fake_providers.scripted import ScriptedProvider
from fake_upstreams.behaviours import BEHAVIOURS
from fake_upstreams.misbehaving import MisbehavingUpstream
from orchestrator_core.resilience import retry
from orchestrator_core.resilience.retry_budget import RetryBudget
from orchestrator_openai import OpenAIProvider
from processes import find_free_port
from provider_faults import KEY, NAMES, STREAMED, WHOLE, Case, Limits, Seen
from scripted_gateway import Reply, Served, served
from surfaces import CHAT, CONNECTOR, ORCHESTRATE, SURFACES, Surface

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = Limits(first_event=0.5, idle=0.3, total=0.9)
CASES = [
    Case(behaviour, stream, surface)
    for surface in SURFACES
    for stream, table in ((False, WHOLE), (True, STREAMED))
    for behaviour, expected in table.items()
    # What takes its time is seen on the two surfaces that differ most.
    if not expected.until or surface in (ORCHESTRATE, CHAT)
]
NOT_HERE = {"sse-pings", "sse-drip", "sse-flood", "bad-chunk", "echo-key", "elsewhere"}
"""Behaviours that tests of the upstream client look at, and of canaries."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[MisbehavingUpstream]:
    async with MisbehavingUpstream(slow=0.05) as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serving(upstream: MisbehavingUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{upstream.url}/v1", **LIMITS.environ}
    async with served(tmp_path_factory.mktemp("faults"), [OpenAIProvider, ScriptedProvider], environ) as gateway:
        yield gateway


@pytest.fixture
def gateway(serving: Served, upstream: MisbehavingUpstream, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The gateway, with nothing left of the tests before."""
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)
    guards = serving.gateway.guards
    monkeypatch.setattr(guards, "budget", RetryBudget())
    guards.keys.forget(serving.gateway.registry.providers["openai"].keys)
    upstream.requests.clear()
    serving.plugins["scripted"].requests.clear()
    return serving


def fall_back(gateway: Served, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    settings = gateway.gateway.config.settings.model_copy(update={"fallbacks": names})
    monkeypatch.setattr(gateway.gateway.router, "_settings", settings)


async def ask(gateway: Served, surface: Surface, behaviour: str, *, stream: bool = False, **headers: str) -> Reply:
    path, body = surface.request("openai", f"fault-{behaviour}", stream=stream)
    return await gateway.post(path, body, **headers)


async def look(gateway: Served, upstream: MisbehavingUpstream, case: Case) -> Seen:
    began = time.monotonic()
    reply = await ask(gateway, case.surface, case.behaviour, stream=case.stream)
    seconds = time.monotonic() - began
    assert upstream.elsewhere == 0
    return Seen(reply.status, reply.headers, reply.body, seconds, upstream.requests[case.behaviour])


async def stored_end(gateway: Served, seen: Seen) -> tuple[str, str | None]:
    """Return how the turn ended, as it is stored."""
    told = ORCHESTRATE.read(seen.headers["Content-Type"], seen.body).told
    page = (await gateway.get(f"/api/sessions/{told['session_id']}/turns")).json
    return page["turns"][-1]["state"], page["turns"][-1]["error_code"]


def named(case: Case) -> str:
    return f"{case.surface.name}-{case.behaviour}-{'stream' if case.stream else 'whole'}"


async def test_every_behaviour_has_its_place() -> None:
    assert set(BEHAVIOURS) == NAMES | NOT_HERE


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_where_nobody_else_is_left(gateway: Served, upstream: MisbehavingUpstream, case: Case) -> None:
    seen = await look(gateway, upstream, case)

    assert [*case.problems(seen, LIMITS)] == []
    if case.surface is ORCHESTRATE:
        state = "failed" if seen.status != 200 else "interrupted" if case.expected.code else "complete"
        assert await stored_end(gateway, seen) == (state, case.expected.code or None)


@pytest.mark.parametrize("case", [case for case in CASES if case.expected.code], ids=named)
async def test_where_there_is_a_fallback(
    gateway: Served, upstream: MisbehavingUpstream, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    fall_back(gateway, monkeypatch, "scripted")

    seen = await look(gateway, upstream, case)

    assert [*case.problems(seen, LIMITS, fallback="scripted")] == []
    assert len(gateway.plugins["scripted"].requests) == case.answered_elsewhere
    if case.surface is ORCHESTRATE and seen.status == 200:
        told = case.surface.read(seen.headers["Content-Type"], seen.body).told
        if case.answered_elsewhere:
            attempts = [(each["provider"], each["error"]) for each in told["metadata"]["attempts"]]
            assert attempts == [("openai", case.expected.code), ("scripted", None)]
        else:
            assert await stored_end(gateway, seen) == ("interrupted", case.expected.code)


async def test_a_refused_key_is_a_401_where_the_caller_brought_it_and_on_a_connector(gateway: Served) -> None:
    own = "sk-proj-" + "Zz9" * 20

    assert (await ask(gateway, CHAT, "http-401")).status == 502
    assert (await ask(gateway, ORCHESTRATE, "http-401", X_API_Key=own)).status == 401
    assert (await ask(gateway, CONNECTOR, "http-401")).status == 401


async def test_one_that_nobody_listens_at_is_passed_by_at_once(tmp_path: Path) -> None:
    environ = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{find_free_port()}/v1",
        "MONITORING_ENABLED": "false",
        "ORCHESTRATOR_FALLBACKS": "scripted",
    }
    async with served(tmp_path, [OpenAIProvider, ScriptedProvider], environ) as gateway:
        reply = await ask(gateway, ORCHESTRATE, "ok")

    assert reply.status == 200
    assert [each["error"] for each in reply.json["metadata"]["attempts"]] == ["provider_unreachable", None]

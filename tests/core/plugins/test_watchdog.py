"""Plugins that block the event loop, for real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from fake_providers.instances import card, provided
from orchestrator_core.plugins import Registry
from orchestrator_core.plugins.loading import Isolated
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    KeyRequest,
    KeyVerdict,
    PluginError,
    ProviderHooks,
    Secret,
    Start,
    hookimpl,
)

BLOCKED = 1.2
SHORT = 0.2
CORE: dict[str, Any] = {"__name__": "orchestrator_core.slow", "time": time}
exec("def work(seconds): time.sleep(seconds)", CORE)  # noqa: S102 - code that counts as core's own
PACKAGE = __name__.partition(".")[0]

Event = dict[str, Any]


def helper() -> None:
    """Code of the plugin that knows of no instance."""
    time.sleep(BLOCKED)


class Blocking(ProviderHooks):
    info = card("blocking", capabilities=("chat", "embeddings"))

    @hookimpl
    def validate_key(self, request: KeyRequest) -> KeyVerdict:
        time.sleep(BLOCKED)
        return KeyVerdict("valid", "****")

    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        yield Start()
        helper()

    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        if request.model == "blocks":
            time.sleep(BLOCKED)
        elif request.model == "short":
            time.sleep(SHORT)
        elif request.model == "core":
            Isolated(lambda: time.sleep(BLOCKED), "working").run(5)
        elif request.model == "later":
            asyncio.get_running_loop().call_soon(helper)
        else:
            for _ in range(24):
                await asyncio.sleep(0.05)
        return EmbeddingResponse(vectors=[[1.0]])


@pytest.fixture
def logged() -> Iterator[list[Event]]:
    """What is logged, with the time."""
    events: list[Event] = []

    def remember(_: object, __: str, event: Any) -> Any:
        events.append({"at": time.monotonic(), **event})
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[remember])
    yield events
    structlog.configure(processors=before)


@asynccontextmanager
async def watched() -> AsyncIterator[Registry]:
    """Three instances of one class; that in the middle is called."""
    names = ("first", "middle", "third")
    registry = Registry([provided(Blocking, name) for name in names], packages=dict.fromkeys(names, PACKAGE))
    await registry.start()
    try:
        yield registry
    finally:
        await registry.close()


async def embed(registry: Registry, model: str) -> None:
    await registry.get("middle").embed(EmbeddingRequest(model=model, input=["x"], deadline=Deadline.after(5)))


async def chat(registry: Registry, _: str) -> None:
    request = ChatRequest(model="m", messages=[], deadline=Deadline.after(5))
    assert [event async for event in registry.get("middle").chat(request)]


async def check_key(registry: Registry, _: str) -> None:
    registry.get("middle").validate_key(Secret("k" * 20))


@pytest.mark.parametrize(
    ("call", "model", "hook"),
    [(chat, "m", "chat"), (embed, "blocks", "embed"), (check_key, "m", "validate_key")],
)
async def test_who_blocks_is_named_within_a_second_and_quarantined_when_it_returns(
    logged: list[Event], call: Callable[..., Any], model: str, hook: str
) -> None:
    async with watched() as registry:
        began = time.monotonic()
        await call(registry, model)
        assert time.monotonic() - began >= BLOCKED
        await asyncio.sleep(0.01)
        named = [event for event in logged if event["event"] == "plugin blocks the event loop"]
        assert [(event["provider"], event["hook"]) for event in named] == [("middle", hook)]
        assert named[0]["at"] - began < 1.0
        with pytest.raises(PluginError, match=f"its hook {hook} blocked the event loop"):
            await embed(registry, "quick")
        assert [provider.id for provider in registry.usable] == ["first", "third"]
        assert [plugin.name for plugin in registry.quarantined] == ["middle"]


async def test_code_of_a_plugin_outside_its_hooks_is_named_too(logged: list[Event]) -> None:
    async with watched() as registry:
        await embed(registry, "later")
        await asyncio.sleep(0.02)
    named = [event for event in logged if event["event"] == "plugin blocks the event loop"]
    assert [event["hook"] for event in named] == [None]
    assert "outside its hooks" in registry.quarantined[0].reason


@pytest.mark.parametrize("model", ["slow", "core"])
async def test_who_waits_and_core_itself_are_not_blamed(logged: list[Event], model: str) -> None:
    async with watched() as registry:
        began = time.monotonic()
        await embed(registry, model)
        assert time.monotonic() - began >= BLOCKED
        await asyncio.sleep(0.01)
        assert len(registry.usable) == 3
    assert logged == []


@pytest.mark.parametrize(("seconds", "calls"), [(0.8, 1), (0.0, 6)])
async def test_a_call_is_not_blamed_for_what_ran_before_it(logged: list[Event], seconds: float, calls: int) -> None:
    async with watched() as registry:
        await asyncio.sleep(0.3)
        began = time.monotonic()
        CORE["work"](seconds)
        for _ in range(calls):
            await embed(registry, "short")  # without a pause in which the loop could do anything else
        assert time.monotonic() - began >= 0.9
        await asyncio.sleep(0.01)
        assert len(registry.usable) == 3
    assert logged == []


async def test_without_plugins_nothing_is_watched() -> None:
    registry = Registry([])
    await registry.start()
    assert registry._watchdog._thread is None
    await registry.close()

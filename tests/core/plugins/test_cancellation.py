"""Plugins that do not let themselves be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from orchestrator_core.orchestration.opening import OpenStream, open_stream
from orchestrator_core.plugins import Provider, Registry, cancellation
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    Finish,
    HealthReport,
    HealthRequest,
    PluginError,
    ProviderContext,
    ProviderHooks,
    ProviderInfo,
    ProviderTimeout,
    Start,
    TextDelta,
    hookimpl,
    text_message,
)
from orchestrator_core.resilience.waits import Waits

PATIENCE = 5
"""Seconds after which a test is stuck; everything here is to take a fraction of one."""


class Bare(ProviderHooks):
    info = ProviderInfo(name="acme", title="Acme", requires_key=False, capabilities=("chat",))


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "AGAIN_AFTER", 0.05)


def provider(**hooks: Callable[..., Any]) -> Provider:
    kind = type("Acme", (Bare,), {name: hookimpl(function) for name, function in hooks.items()})
    # No call here reaches the network.
    return Provider(kind(ProviderContext("acme", Bare.settings_model(), client=None)))  # type: ignore[arg-type]  # above


async def ignoring() -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


async def ignoring_until(stop: asyncio.Event) -> None:
    while not stop.is_set():
        with suppress(asyncio.CancelledError):
            await stop.wait()


async def as_task(stop: asyncio.Event) -> None:
    await asyncio.create_task(ignoring_until(stop))


async def gathered(stop: asyncio.Event) -> None:
    await asyncio.gather(ignoring_until(stop), asyncio.sleep(0))


async def in_a_group(stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(ignoring_until(stop))


async def opened(found: Provider, seconds: float = 0.1) -> OpenStream:
    deadline = Deadline.after(seconds)
    request = ChatRequest(model="m", messages=[text_message("user", "Hi")], deadline=deadline)
    return await open_stream(found.chat(request), deadline, Waits(), stream=False)


async def events_of(call: OpenStream) -> AsyncGenerator[ChatEvent, None]:
    for early in call.early:
        yield early
    while (events := await call.next()) is not None:
        for event in events:
            yield event


async def test_a_chat_that_goes_on_is_left_behind_and_its_plugin_quarantined() -> None:
    ended = asyncio.Event()

    async def chat(self: Any, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        try:
            yield Start()
            await ignoring()
        finally:
            ended.set()

    found = provider(chat=chat)
    registry = Registry([found])
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ProviderTimeout):
            await opened(found)
        with pytest.raises(PluginError, match="quarantined: its hook chat went on"):
            await opened(found)
    assert ended.is_set()
    assert registry.usable == []
    assert [broken.name for broken in registry.quarantined] == ["acme"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_chat_that_goes_on_in_the_midst_of_its_answer_is_late_all_the_same() -> None:
    async def chat(self: Any, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        yield Start()
        yield TextDelta(text="well")
        await ignoring()

    found = provider(chat=chat)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ProviderTimeout):
            async for _ in events_of(await opened(found)):
                pass
    assert found.quarantined


async def test_an_answer_that_comes_of_a_swallowed_cancellation_is_late() -> None:
    async def chat(self: Any, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        yield Start()
        while True:
            try:
                await asyncio.sleep(0.15)
            except asyncio.CancelledError:
                continue
            yield TextDelta(text="")

    found = provider(chat=chat)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ProviderTimeout):
            await opened(found)


@pytest.mark.parametrize("wait", [as_task, gathered, in_a_group])
async def test_a_task_within_that_goes_on_is_left_behind(wait: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop, ended = asyncio.Event(), asyncio.Event()

    async def chat(self: Any, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        yield Start()
        try:
            await wait(stop)
        finally:
            ended.set()

    found = provider(chat=chat)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ProviderTimeout):
            await opened(found)
        await ended.wait()
    assert found.quarantined
    stop.set()
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))


async def test_a_task_within_may_answer_fail_and_clean_up() -> None:
    cleaned = asyncio.Event()

    async def answering() -> str:
        await asyncio.sleep(0.01)
        return "well"

    async def failing() -> str:
        await asyncio.sleep(0.01)
        raise ConnectionResetError

    async def cleaning_up() -> str:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.02)
            cleaned.set()
        raise AssertionError

    async def chat(self: Any, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        yield Start()
        yield TextDelta(text=await asyncio.create_task(answering()))
        with suppress(ConnectionResetError):
            await asyncio.create_task(failing())
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await asyncio.create_task(asyncio.sleep(3600))
        await asyncio.sleep(0.1)  # nobody cancels it again
        given_up = asyncio.create_task(asyncio.sleep(3600))
        asyncio.get_running_loop().call_later(0.01, given_up.cancel)
        with suppress(asyncio.CancelledError):
            await given_up
        yield TextDelta(text="on")
        await asyncio.create_task(cleaning_up())
        yield Finish()

    found = provider(chat=chat)
    said = []

    async def listen() -> None:
        async for event in events_of(await opened(found, seconds=0.5)):
            said.extend([event.text] if isinstance(event, TextDelta) else [])

    with pytest.raises(ProviderTimeout):
        await listen()
    assert said == ["well", "on"]
    assert cleaned.is_set()
    assert found.quarantined is None


async def test_embeddings_and_looks_that_go_on_end_too() -> None:
    async def embed(self: Any, request: EmbeddingRequest) -> EmbeddingResponse:
        await ignoring()
        raise AssertionError

    async def health(self: Any, request: HealthRequest) -> HealthReport:
        await ignoring()
        raise AssertionError

    async with asyncio.timeout(PATIENCE):
        found = provider(embed=embed)
        with pytest.raises(ProviderTimeout):
            await found.embed(EmbeddingRequest(model="m", input=["a"], deadline=Deadline.after(0.1)))
        assert found.quarantined
        found = provider(health=health)
        assert not (await found.health(HealthRequest(deadline=Deadline.after(0.1), credential=None))).healthy
        assert found.quarantined


async def test_a_caller_who_leaves_is_not_kept() -> None:
    async def chat(self: Any, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        yield Start()
        await ignoring()

    found = provider(chat=chat)
    task = asyncio.create_task(opened(found, seconds=60))
    await asyncio.sleep(0.05)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=PATIENCE)
    assert done
    assert task.cancelled()
    assert found.quarantined


async def test_time_limits_of_a_plugins_own_and_time_for_cleaning_up_are_nobodys_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancellation, "AGAIN_AFTER", PATIENCE)
    cleaned = asyncio.Event()

    async def chat(self: Any, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        yield Start()
        for _ in range(3):
            try:
                async with asyncio.timeout(0.02):
                    await asyncio.sleep(3600)
            except TimeoutError:
                await asyncio.sleep(0.1)
        yield TextDelta(text="well")
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.05)
            cleaned.set()
        yield Finish()

    found = provider(chat=chat)
    events = events_of(await opened(found, seconds=1))
    with pytest.raises(ProviderTimeout):
        async for _ in events:
            pass
    assert cleaned.is_set()
    assert found.quarantined is None


async def test_what_a_plugin_waits_for_may_fail_and_is_the_plugins_to_handle() -> None:
    async def chat(self: Any, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        failing = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(failing.set_exception, ConnectionResetError())
        yield Start()
        try:
            await failing
        except ConnectionResetError:
            yield TextDelta(text="well")
        yield Finish()

    stream = await opened(provider(chat=chat), seconds=5)
    assert [type(event) async for event in events_of(stream)] == [Start, TextDelta, Finish]


async def test_what_is_closed_while_it_waits_is_closed_within() -> None:
    closed = asyncio.Event()

    async def waiting() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            closed.set()

    async def outer() -> None:
        await cancellation.cancellable(waiting(), lambda: None)

    steps = outer()
    steps.send(None)
    steps.close()
    assert closed.is_set()

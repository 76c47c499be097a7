"""Whatever a plugin does, core sees the contract."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from orchestrator_core.plugins import Provider
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    Finish,
    GatewayError,
    HealthReport,
    HealthRequest,
    InvalidRequest,
    KeyFormat,
    KeyVerdict,
    ModelInfo,
    NotSupported,
    PluginError,
    ProviderAuthFailed,
    ProviderContext,
    ProviderHooks,
    ProviderInfo,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnreachable,
    Secret,
    Start,
    TextDelta,
    hookimpl,
    one_by_one,
    text_message,
)

KEY = "acme-0123456789abcdef"
INFO = ProviderInfo(
    name="acme",
    title="Acme",
    capabilities=("chat",),
    aliases=("ac",),
    default_model="acme-1",
    models=(ModelInfo(id="acme-1", description="Known"),),
    key_formats=(KeyFormat(r"acme-[a-z0-9]{16}", "`acme-` and 16 characters", "acme-"),),
)


class Bare(ProviderHooks):
    """Implements nothing: core's defaults answer."""

    info = INFO


def instance(kind: type[ProviderHooks], **settings: Any) -> ProviderHooks:
    # No call here reaches the network.
    return kind(ProviderContext(kind.info.name, kind.settings_model(**settings), client=None))  # type: ignore[arg-type]  # above


def provider(*keys: str, **hooks: Callable[..., Any]) -> Provider:
    """Return a provider with these hooks."""
    marked = {name: hookimpl(function) for name, function in hooks.items()}
    return Provider(instance(type("Acme", (Bare,), marked)), [Secret(key) for key in keys])


def asking(seconds: float = 5) -> ChatRequest:
    return ChatRequest(model="acme-1", messages=[text_message("user", "Hi")], deadline=Deadline.after(seconds))


def embedding(*texts: str, seconds: float = 5) -> EmbeddingRequest:
    return EmbeddingRequest(model="m", input=texts, deadline=Deadline.after(seconds))


async def drain(called: Provider) -> Sequence[ChatEvent]:
    async with aclosing(one_by_one(called.chat(asking()))) as events:
        return [event async for event in events]


async def test_events_come_through_untouched() -> None:
    sent = [Start(model="m"), TextDelta(text="a"), Finish()]

    async def chat(self: Any, request: Any) -> Any:
        for event in sent:
            yield event

    received = await drain(provider(chat=chat))

    assert all(one is other for one, other in zip(sent, received, strict=True))


async def test_what_is_left_out_is_not_supported() -> None:
    with pytest.raises(NotSupported, match="acme"):
        await drain(provider())
    with pytest.raises(NotSupported, match="acme"):
        await provider().embed(embedding("x"))


@pytest.mark.parametrize(
    "raised", [KeyError("x"), SystemExit(2), KeyboardInterrupt(), TimeoutError(), RecursionError()]
)
async def test_whatever_a_hook_raises_is_a_plugin_error_that_tells_no_more_than_its_class(
    raised: BaseException,
) -> None:
    async def embed(self: Any, request: Any) -> Any:
        raise raised

    async def chat(self: Any, request: Any) -> Any:
        yield Start()
        raise raised

    def validate_key(self: Any, request: Any) -> Any:
        raise raised

    broken = provider(chat=chat, embed=embed, validate_key=validate_key)
    for call in (broken.embed(embedding("x")), drain(broken)):
        with pytest.raises(PluginError, match=type(raised).__name__) as error:
            await call
        assert error.value.provider == "acme"
    with pytest.raises(PluginError):
        broken.validate_key(Secret(KEY))


async def test_an_error_of_the_tree_and_a_cancellation_pass_as_they_are() -> None:
    begun = asyncio.Event()

    async def embed(self: Any, request: Any) -> Any:
        if request.input == ("refuse",):
            raise InvalidRequest("no")
        begun.set()
        await asyncio.sleep(60)

    with pytest.raises(InvalidRequest, match="no"):
        await provider(embed=embed).embed(embedding("refuse"))
    task = asyncio.create_task(provider(embed=embed).embed(embedding("wait")))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("given", ["text", None, [1.0], EmbeddingResponse(vectors=[])])
async def test_a_wrong_answer_is_a_plugin_error(given: object) -> None:
    async def embed(self: Any, request: Any) -> Any:
        return given

    with pytest.raises(PluginError, match="embed"):
        await provider(embed=embed).embed(embedding("x"))


async def test_hooks_of_the_wrong_kind_are_plugin_errors() -> None:
    async def coroutine(self: Any, request: Any) -> Any:
        return None

    def plain(self: Any, request: Any) -> Any:
        return "text"

    with pytest.raises(PluginError, match="chat"):
        await drain(provider(chat=coroutine))
    with pytest.raises(PluginError, match="embed"):
        await provider(embed=plain).embed(embedding("x"))
    with pytest.raises(PluginError, match="validate_key"):
        provider(validate_key=coroutine).validate_key(Secret(KEY))


async def test_the_deadline_holds_for_what_is_awaited() -> None:
    async def forever(self: Any, request: Any) -> Any:
        await asyncio.sleep(60)

    slow = provider(embed=forever, health=forever)

    with pytest.raises(ProviderTimeout):
        await slow.embed(embedding("x", seconds=0.02))
    report = await slow.health(HealthRequest(deadline=Deadline.after(0.02)))
    assert not report.healthy
    assert not slow.healthy


async def test_closing_closes_the_plugins_generator_and_waits_for_it_no_longer_than_it_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestrator_core.plugins.provider.CLOSE_TIMEOUT", 0.05)
    closed = []

    async def chat(self: Any, request: Any) -> Any:
        try:
            yield Start()
            yield TextDelta(text="x")
        finally:
            closed.append(True)
            await asyncio.sleep(60)

    began = time.monotonic()
    async with aclosing(provider(chat=chat).chat(asking())) as batches:
        assert await anext(batches) == [Start()]

    assert closed
    assert time.monotonic() - began < 2


async def test_health_is_noted_and_models_are_merged() -> None:
    reports = [
        HealthReport(healthy=False, detail="down"),
        HealthReport(healthy=True, models=[ModelInfo(id="acme-2"), ModelInfo(id="acme-1", description="Listed")]),
        HealthReport(healthy=True, models=["acme-3"]),  # type: ignore[list-item]  # what a careless plugin does
    ]

    async def health(self: Any, request: Any) -> HealthReport:
        return reports.pop(0)

    watched, request = provider(health=health), HealthRequest(deadline=Deadline.after(1))
    assert watched.healthy

    await watched.health(request)
    assert (watched.healthy, watched.health_detail) == (False, "down")
    await watched.health(request)
    assert (watched.healthy, watched.health_detail) == (True, None)
    assert [(model.id, model.description) for model in watched.models] == [("acme-1", "Known"), ("acme-2", None)]
    await watched.health(request)
    assert not watched.healthy


async def test_core_reports_health_from_what_is_configured() -> None:
    deadline = Deadline.after(1)

    assert (await provider().health(HealthRequest(deadline=deadline, credential=Secret(KEY)))).healthy
    assert not (await provider().health(HealthRequest(deadline=deadline))).healthy


def test_placeholders_are_not_used_and_odd_keys_are() -> None:
    configured = provider(KEY, "changeme", "odd-but-perhaps-new")

    assert [verdict.status for verdict in configured.verdicts] == ["valid", "placeholder", "malformed"]
    assert configured.keys == [Secret(KEY), Secret("odd-but-perhaps-new")]
    assert configured.configured
    assert not provider("changeme").configured


def test_a_verdict_of_a_plugin_shows_no_key() -> None:
    def validate_key(self: Any, request: Any) -> KeyVerdict:
        return KeyVerdict("malformed", f"<{KEY}>", f"{KEY} is odd")

    verdict = provider(validate_key=validate_key).validate_key(Secret(KEY))

    assert KEY not in f"{verdict}"
    assert verdict.reason == "**** is odd"


def test_the_operators_default_model_comes_first() -> None:
    class Settled(Bare):
        info = INFO

    assert provider().default_model("chat") == "acme-1"
    assert Provider(instance(Settled, default_model="mine")).default_model("chat") == "mine"
    assert provider().default_model("embeddings") is None


@pytest.mark.parametrize(
    ("error", "reached"),
    [(ProviderAuthFailed("401"), True), (ProviderRateLimited("429"), True), (ProviderUnreachable("reset"), False)],
)
async def test_a_look_that_is_refused_reached_the_provider(error: GatewayError, reached: bool) -> None:
    async def health(self: Any, request: HealthRequest) -> HealthReport:
        raise error

    found = provider(health=health)
    report = await found.health(HealthRequest(deadline=Deadline.after(5), credential=None))

    assert (report.healthy, report.reached, found.healthy, found.down) == (False, reached, False, not reached)

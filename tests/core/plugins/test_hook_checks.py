from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pluggy
import pytest

from fake_providers.instances import card, instance
from orchestrator_core.plugins.manager import check_hooks, implemented_hooks, make_manager
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatEvents,
    ChatRequest,
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    HealthRequest,
    ProviderHooks,
    Start,
    hookimpl,
)


class Sound(ProviderHooks):
    info = card("sound")

    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        yield Start()

    def chatter(self) -> None:
        """No hook and not marked: its own affair."""


class Derived(Sound):
    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        return EmbeddingResponse(vectors=[])


def test_a_sound_class_is_taken() -> None:
    assert check_hooks(Sound) is None
    assert check_hooks(Derived) is None
    assert implemented_hooks(Sound) == ("chat",)
    assert implemented_hooks(Derived) == ("chat", "embed")


def plugin(name: str, method: Callable[..., Any]) -> type[ProviderHooks]:
    return type("Plugin", (ProviderHooks,), {"info": card("acme"), name: method})


@pytest.mark.parametrize(
    "method",
    [
        lambda self: None,
        lambda self, req: None,
        lambda self, request, more: None,
        lambda self, request=None: None,
        lambda self, *request: None,
        lambda self, *, request: None,
        lambda self, **request: None,
        lambda request: None,
        lambda this, request: None,
    ],
)
def test_a_hook_takes_request_and_nothing_else(method: Callable[..., Any]) -> None:
    fault = check_hooks(plugin("chat", hookimpl(method)))
    assert fault == "the hook chat must take exactly one argument, named request, without a default"


@pytest.mark.parametrize(
    ("name", "hint"), [("chatt", "Did you mean chat?"), ("healt", "Did you mean health?"), ("x", "")]
)
def test_a_misspelt_hook_is_told_with_the_nearest(name: str, hint: str) -> None:
    fault = check_hooks(plugin(name, hookimpl(lambda self, request: None))) or ""
    assert fault.startswith(f"{name} is marked with @hookimpl and is no hook")
    assert hint in fault


def test_a_mistake_of_a_base_class_is_found() -> None:
    base = plugin("chatt", hookimpl(lambda self, request: None))
    assert "chatt" in (check_hooks(type("Derived", (base,), {})) or "")


async def no_generator(self: object, request: object) -> int:
    return 1


async def generator_within(self: Any, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
    return Sound.chat(self, request)


@pytest.mark.parametrize(
    "method",
    [no_generator, generator_within, lambda self, request: iter(())],
    ids=["coroutine", "coroutine of a generator", "function"],
)
def test_a_chat_that_is_no_async_generator_is_told(method: Callable[..., Any]) -> None:
    fault = check_hooks(plugin("chat", hookimpl(method)))
    assert fault == "the hook chat must be an async generator: write `async def` with `yield` in it"


@pytest.mark.parametrize("said", ["AsyncGenerator[ChatEvent, None]", "ChatEvents", ChatEvents])
def test_a_chat_that_hands_on_an_async_generator_is_taken(said: object) -> None:
    def chat(self: Any, request: ChatRequest) -> Any:
        return Sound.chat(self, request)

    chat.__annotations__["return"] = said
    assert check_hooks(plugin("chat", hookimpl(chat))) is None


def test_a_chat_behind_a_decorator_is_taken() -> None:
    @hookimpl
    @functools.wraps(Sound.chat)
    def chat(self: Any, request: ChatRequest) -> Any:
        return Sound.chat(self, request)

    assert check_hooks(plugin("chat", chat)) is None


def test_an_override_without_the_mark_is_refused_as_the_class_is_made() -> None:
    with pytest.raises(TypeError, match="mark it with @hookimpl"):
        plugin("chat", lambda self, request: None)


def test_pluggy_refuses_what_the_class_did_not_show() -> None:
    made = instance(Sound)
    made.embed = hookimpl(lambda req: None)  # type: ignore[method-assign,assignment]  # a mistake that only an instance has
    with pytest.raises(pluggy.PluginValidationError):
        make_manager(made)


async def test_a_provider_goes_before_the_defaults_wherever_it_stands() -> None:
    class Last(ProviderHooks):
        info = card("last")

        @hookimpl(trylast=True)
        def validate_key(self, request: Any) -> Any:
            return "the provider's"

    manager = make_manager(instance(Last))
    assert manager.hook.validate_key(request=None) == "the provider's"
    report = await manager.hook.health(request=HealthRequest(deadline=Deadline.after(1)))
    assert report.healthy

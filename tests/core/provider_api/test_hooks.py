"""The hooks: what a class may do with them, that each is documented, and that each is tested."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncGenerator

import pytest

from orchestrator_core.provider_api import (
    HOOKS,
    PROJECT,
    ChatEvent,
    ChatRequest,
    KeyRequest,
    KeyVerdict,
    ProviderHooks,
    hookimpl,
)

SECTIONS = re.compile(r"^\s*(Returns|Yields|Raises):$", re.MULTILINE)


def test_an_override_without_the_mark_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"Forgetful\.chat overrides a hook: mark it with @hookimpl"):

        class Forgetful(ProviderHooks):
            async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
                yield ChatEvent()


def test_a_forgetful_subclass_of_a_good_provider_is_refused_too() -> None:
    class Good(ProviderHooks):
        @hookimpl
        def validate_key(self, request: KeyRequest) -> KeyVerdict:
            return KeyVerdict("valid", "****")

    with pytest.raises(TypeError, match=r"Worse\.validate_key"):

        class Worse(Good):
            def validate_key(self, request: KeyRequest) -> KeyVerdict:
                return KeyVerdict("malformed", "****")


def test_what_is_no_hook_needs_no_mark() -> None:
    class Helped(ProviderHooks):
        def helper(self) -> None:
            """Not a hook."""

    assert [name for name in HOOKS if name in vars(Helped)] == []


def test_the_hooks_are_the_methods_that_are_specified() -> None:
    specified = [name for name, value in vars(ProviderHooks).items() if hasattr(value, f"{PROJECT}_spec")]

    assert tuple(specified) == HOOKS
    assert all(getattr(vars(ProviderHooks)[name], f"{PROJECT}_spec")["firstresult"] for name in HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_says_what_it_gives_and_what_it_raises(name: str) -> None:
    doc = inspect.getdoc(getattr(ProviderHooks, name)) or ""

    assert SECTIONS.search(doc), f"the docstring of {name} has no section Returns, Yields or Raises"
    assert inspect.signature(getattr(ProviderHooks, name)).return_annotation != inspect.Signature.empty

"""What a client may do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.config.grants import Grant, check_model, check_provider


@pytest.mark.parametrize(
    ("patterns", "allowed", "refused"),
    [
        (("openai/*",), ["openai/gpt-5", "openai/ft:a/b"], ["openai2/gpt-5", "mistral/openai/gpt-5", "xopenai/gpt-5"]),
        (("mistral/mistral-small*",), ["mistral/mistral-small", "mistral/mistral-small-latest"], ["mistral/mistral"]),
        (("*/gpt-5",), ["openai/gpt-5", "azure/gpt-5"], ["openai/gpt-5.1", "openai/xgpt-5"]),
        (("openai/a", "kimi/b"), ["openai/a", "kimi/b"], ["openai/b", "kimi/a"]),
        (("one/a.b",), ["one/a.b"], ["one/axb"]),
    ],
)
def test_patterns_of_models(patterns: tuple[str, ...], allowed: list[str], refused: list[str]) -> None:
    grant = Grant(models=patterns)
    for name in allowed:
        assert grant.may_use(*name.split("/", 1)), name
    for name in refused:
        assert not grant.may_use(*name.split("/", 1)), name


def test_without_a_model_it_is_whether_any_is_allowed() -> None:
    grant = Grant(models=("openai/gpt-5", "m*/x"))
    assert [grant.may_use(name) for name in ("openai", "mistral", "kimi")] == [True, True, False]


def test_providers_and_models_both_have_to_allow() -> None:
    grant = Grant(providers=frozenset({"openai"}), models=("*/a",))
    assert grant.may_use("openai", "a")
    assert not grant.may_use("openai", "b")
    assert not grant.may_use("kimi", "a")
    assert not grant.may_use("kimi")
    assert Grant().may_use("anybody", "anything")


@pytest.mark.parametrize("name", ["", "Open AI", "openai/gpt", "*", "-a", "a" * 65, "é"])
def test_what_is_no_provider(name: str) -> None:
    with pytest.raises(ValueError, match="names of providers"):
        check_provider(name)


@pytest.mark.parametrize("pattern", ["", "gpt-5", "/gpt", "openai/", "open ai/x", "openai/\u00e9", "openai/a b"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match="provider/model"):
        check_model(pattern)


@given(st.text(alphabet="ab*.", min_size=1, max_size=12), st.text(alphabet="ab.", min_size=1, max_size=12))
def test_a_pattern_means_what_a_plain_search_says(pattern: str, model: str) -> None:
    def matches(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(matches(pattern[1:], text[start:]) for start in range(len(text) + 1))
        return bool(text) and pattern[0] == text[0] and matches(pattern[1:], text[1:])

    assert Grant(models=(f"one/{pattern}",)).may_use("one", model) == matches(pattern, model)


def test_no_pattern_takes_long() -> None:
    grant = Grant(models=(f"one/{'a*' * 100}b",))
    assert not grant.may_use("one", "a" * 100_000)
    assert grant.may_use("one", "a" * 100_000 + "b")

"""Who is asked, and who after that."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from orchestrator_core.config.grants import Grant
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.orchestration import Selection
from orchestrator_core.orchestration.routing import pinned
from orchestrator_core.provider_api import (
    ChatRequest,
    HealthReport,
    InvalidRequest,
    ModelInfo,
    NotFound,
    PermissionDenied,
    ProviderFailed,
    Secret,
)
from orchestrator_core.provider_api import text_message as message
from orchestrator_core.security.principal import ANONYMOUS, Principal

ONLY_TWO = Principal(id="p", tenant="t", grant=Grant(providers=frozenset({"two"})))
ALIASES = {
    "both": {"targets": ["one/m", "two/n"]},
    "cheap": {"targets": ["one/dear", "two/unknown", "two/cheap"], "strategy": "cheapest"},
    "spread": {"targets": ["one/m", "two/n"], "strategy": "weighted", "weights": [1, 0]},
    "vectors": {"targets": ["two/e", "one/other", "one/e"]},
    "mixed": {"targets": ["nobody/x", "two/n"]},
    "gone": "nobody/x",
    "mine": {"targets": ["one/a", "one/b"]},
}
PRICES = {"one/dear": {"input": 5, "output": 15}, "two/cheap": {"input": 0.1, "output": 0.4}}


@pytest.fixture
async def bench(start: Any) -> Any:
    return await start(ORCHESTRATOR_ALIASES=json.dumps(ALIASES), ORCHESTRATOR_PRICES=json.dumps(PRICES))


def names(bench: Any, selection: Selection, operation: str = "chat", principal: Principal = ANONYMOUS) -> list[str]:
    return [target.name for target in bench.gateway.router.targets(principal, selection, operation)]


@pytest.mark.parametrize(
    ("alias", "targets"),
    [
        ("both", ["one/m", "two/n"]),
        ("cheap", ["two/cheap", "one/dear", "two/unknown"]),
        ("spread", ["one/m", "two/n"]),
        ("mixed", ["two/n"]),
    ],
)
async def test_the_strategy_says_who_is_first_and_the_others_are_the_fallbacks(
    bench: Any, alias: str, targets: list[str]
) -> None:
    assert names(bench, bench.gateway.router.select(alias)) == targets


async def test_an_alias_is_followed_by_the_fallbacks_of_the_request_and_may_be_one(bench: Any) -> None:
    assert names(bench, Selection(alias="both", fallbacks=("one/z", "two/n"))) == ["one/m", "two/n", "one/z"]
    assert names(bench, Selection(provider="two", model="n", fallbacks=("cheap", "both"))) == [
        "two/n",
        "two/cheap",
        "one/dear",
        "two/unknown",
        "one/m",
    ]


async def test_a_caller_gets_what_its_key_allows_of_an_alias(bench: Any) -> None:
    assert names(bench, Selection(alias="both"), principal=ONLY_TWO) == ["two/n"]
    with pytest.raises(PermissionDenied, match="'mine'"):
        names(bench, Selection(alias="mine"), principal=ONLY_TWO)


async def test_an_alias_of_nobody_is_not_found(bench: Any) -> None:
    with pytest.raises(NotFound, match="'gone'"):
        names(bench, Selection(alias="gone"))


async def test_vectors_come_from_one_model_alone(bench: Any) -> None:
    assert names(bench, Selection(alias="vectors"), "embeddings") == ["two/e", "one/e"]
    assert names(bench, Selection(provider="one", model="e", fallbacks=("vectors", "two/n")), "embeddings") == [
        "one/e",
        "two/e",
    ]


async def test_who_has_no_vectors_is_not_asked_for_some_unless_there_is_nobody_else(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for provider in bench.gateway.registry.usable:
        without = replace(provider.info, capabilities=("chat",))
        monkeypatch.setattr(provider, "info", without if provider.id == "two" else provider.info)
    assert names(bench, Selection(alias="vectors"), "embeddings") == ["one/e"]
    assert names(bench, Selection(provider="two", model="e", fallbacks=("one/z",)), "embeddings") == ["two/e"]
    assert names(bench, Selection(alias="both")) == ["one/m", "two/n"]


async def test_a_key_of_the_callers_own_never_meets_another_provider(bench: Any) -> None:
    key = Secret("a-key-of-the-callers-own")
    assert names(bench, Selection(alias="mine", credential=key)) == ["one/a"]
    with pytest.raises(InvalidRequest, match="several providers"):
        names(bench, Selection(alias="both", credential=key))


async def test_the_default_model_answers_where_nothing_is_named(start: Any) -> None:
    bench = await start(ORCHESTRATOR_ALIASES=json.dumps(ALIASES), ORCHESTRATOR_DEFAULT_MODEL="both")
    assert names(bench, Selection()) == ["one/m", "two/n"]
    assert names(bench, Selection(provider="two")) == ["two/scripted-1"]


async def test_what_was_drawn_can_be_pinned(start: Any) -> None:
    entry = {"targets": [f"one/{number}" for number in range(20)], "strategy": "weighted", "weights": [1] * 20}
    bench = await start(ORCHESTRATOR_ALIASES=json.dumps({"many": entry}))
    selection = Selection(alias="many")
    drawn = bench.gateway.router.targets(ANONYMOUS, selection, "chat")
    again = bench.gateway.router.targets(ANONYMOUS, pinned(selection, drawn), "chat")
    assert again == drawn


async def test_fallbacks_are_drawn_anew_for_each_call(start: Any) -> None:
    entry = {"targets": ["one/m", "two/n"], "strategy": "weighted", "weights": [1, 1]}
    bench = await start(ORCHESTRATOR_ALIASES=json.dumps({"spread": entry}), ORCHESTRATOR_FALLBACKS="spread")
    found = {tuple(names(bench, Selection(provider="one", model="scripted-1"))) for _ in range(100)}
    assert found == {("one/scripted-1", "one/m", "two/n"), ("one/scripted-1", "two/n", "one/m")}


async def test_what_one_caller_may_use_says_nothing_of_another(start: Any) -> None:
    bench = await start(ORCHESTRATOR_FALLBACKS="two/scripted-1")
    selection, only_one = Selection(provider="one"), Principal(id="p", tenant="t", grant=Grant(models=("one/*",)))
    for _ in range(2):
        assert names(bench, selection) == ["one/scripted-1", "two/scripted-1"]
        assert names(bench, selection, principal=only_one) == ["one/scripted-1"]
        assert names(bench, selection, "embeddings") == ["one/scripted-embed"]
        with pytest.raises(PermissionDenied):
            names(bench, selection, principal=ONLY_TWO)


async def test_who_answers_where_nobody_is_named_depends_on_the_keys(bench: Any) -> None:
    registry = bench.gateway.registry
    with pytest.raises(InvalidRequest, match="Say which provider"):
        names(bench, Selection(model="scripted-1"))
    registry.quarantine("two", "it is to be left out")
    assert names(bench, Selection(model="scripted-1")) == ["one/scripted-1"]


async def test_a_key_in_the_place_of_a_model_is_masked_as_soon_as_it_is_known(bench: Any) -> None:
    key = Secret("a-key-of-the-callers-own")
    selection = Selection(provider="one", model="a-key-of-the-callers-own")
    assert names(bench, selection) == ["one/a-key-of-the-callers-own"]
    with REDACTOR.hold(key):
        assert "callers-own" not in names(bench, selection)[0]


async def test_the_next_target_answers_where_the_first_fails(bench: Any) -> None:
    bench.one.scripts.append([ProviderFailed("500")])
    ask = ChatRequest(model="", messages=[message("user", "ping")], deadline=bench.gateway.deadline(10))
    answer = await bench.gateway.chat(ANONYMOUS, Selection(alias="both"), ask)
    await answer.response()
    assert [(each.provider, each.model, each.error) for each in answer.attempts] == [
        ("one", "m", "provider_failed"),
        ("two", "n", None),
    ]


async def test_a_model_is_what_is_configured_or_known_to_its_provider(bench: Any) -> None:
    router = bench.gateway.router
    bench.gateway.registry.providers["one"].note(HealthReport(healthy=True, models=[ModelInfo(id="listed")]))

    assert all(router.is_model("one", name) for name in ("dear", "listed", "scripted-1", "scripted-embed"))
    assert not router.is_model("one", "made-up")
    assert not router.is_model("two", "listed")
    assert not router.is_model("nobody", "made-up")


async def test_the_name_that_stands_for_all_models_is_none_of_them(bench: Any) -> None:
    for selection in (Selection(provider="one", model="*"), Selection(provider="one", fallbacks=("two/*",))):
        with pytest.raises(InvalidRequest, match="stands for all models") as caught:
            names(bench, selection)
        assert caught.value.param == "model"

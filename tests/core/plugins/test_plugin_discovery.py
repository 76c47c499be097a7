from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest
from pydantic import field_validator

from fake_providers.instances import broken, found
from orchestrator_core.config import ConfigError, load
from orchestrator_core.plugins import PluginClash, Registry
from orchestrator_core.plugins.discovery import assemble
from orchestrator_core.plugins.loading import FoundPlugin
from orchestrator_core.provider_api import (
    Auth,
    PluginError,
    ProviderContext,
    ProviderHooks,
    ProviderSettings,
    UpstreamClient,
)

SERVERS = {
    "ORCHESTRATOR_SERVERS": '{"ollama": {"base_url": "http://127.0.0.1:1/v1"}, "vllm": {"plugin": "compatible"}}'
}


def no_client(auth: Auth) -> UpstreamClient:
    return cast("UpstreamClient", None)


def assembled(tmp_path: Path, plugins: Sequence[FoundPlugin], environ: Mapping[str, str] | None = None) -> Registry:
    return assemble(load(environ=environ or {}, directory=tmp_path), no_client, plugins)


def problems(tmp_path: Path, plugins: Sequence[FoundPlugin], environ: Mapping[str, str] | None = None) -> Sequence[str]:
    with pytest.raises(ConfigError) as raised:
        assembled(tmp_path, plugins, environ)
    return raised.value.problems


def compatible(name: str = "compatible") -> FoundPlugin:
    return found(name, named_servers=True)


def test_every_installed_plugin_is_served(tmp_path: Path) -> None:
    registry = assembled(tmp_path, [found("zeta"), found("alpha", aliases=("first",))])
    assert list(registry.providers) == ["alpha", "zeta"]
    assert registry.get("first").id == "alpha"


@pytest.mark.parametrize("listed", ["alpha", "first", "dist-alpha"])
def test_the_allow_list_takes_names_aliases_and_distributions(tmp_path: Path, listed: str) -> None:
    plugins = [found("zeta"), found("alpha", aliases=("first",)), broken("rotten")]
    registry = assembled(tmp_path, plugins, {"ORCHESTRATOR_PROVIDERS": listed})
    assert list(registry.providers) == ["alpha"]
    assert registry.quarantined == []
    others = assembled(tmp_path, plugins, {"ORCHESTRATOR_DISABLED_PROVIDERS": listed})
    assert list(others.providers) == ["zeta"]
    assert [plugin.name for plugin in others.quarantined] == ["rotten"]


def test_the_block_list_wins(tmp_path: Path) -> None:
    lists = {"ORCHESTRATOR_PROVIDERS": "alpha,zeta", "ORCHESTRATOR_DISABLED_PROVIDERS": "zeta"}
    assert list(assembled(tmp_path, [found("zeta"), found("alpha")], lists).providers) == ["alpha"]


def test_unknown_names_of_both_lists_are_told_with_the_nearest(tmp_path: Path) -> None:
    lists = {"ORCHESTRATOR_PROVIDERS": "mistrl", "ORCHESTRATOR_DISABLED_PROVIDERS": "qqqq"}
    assert problems(tmp_path, [found("mistral")], lists) == (
        "providers: entry 1: no installed plugin has this name. Did you mean mistral?",
        "disabled_providers: entry 1: no installed plugin has this name. Install its package.",
    )


def test_a_key_in_place_of_a_name_is_not_repeated(tmp_path: Path) -> None:
    key = "sk-canary-of-a-key"
    environ = {
        "ORCHESTRATOR_PROVIDERS": f"mistral,{key}",
        "ORCHESTRATOR_DISABLED_PROVIDERS": key,
        "ORCHESTRATOR_DEFAULT_PROVIDER": key,
        "ORCHESTRATOR_SUMMARY_PROVIDER": key,
    }
    told = problems(tmp_path, [found("mistral")], environ)
    assert [problem.partition(": no ")[0] for problem in told] == [
        "providers: entry 2",
        "disabled_providers: entry 1",
        "default_provider",
        "summary_provider",
    ]
    assert "canary" not in "".join(told)


def test_names_that_are_claimed_twice_refuse_the_start(tmp_path: Path) -> None:
    with pytest.raises(PluginClash) as raised:
        assembled(tmp_path, [found("one", aliases=("same",)), found("same"), found("two")])
    (problem,) = raised.value.problems
    assert "'same'" in problem
    assert "dist-one and dist-same" in problem
    assert "ORCHESTRATOR_DISABLED_PROVIDERS" in problem


def test_a_plugin_that_may_not_be_loaded_is_told_even_where_nobody_asked_for_it(tmp_path: Path) -> None:
    intruder = FoundPlugin("one", "intruder", "1.0", fault="it is not listed", allowed=False)
    registry = assembled(tmp_path, [found("one"), found("two"), intruder], {"ORCHESTRATOR_PROVIDERS": "two"})
    assert list(registry.providers) == ["two"]
    assert [(plugin.distribution, plugin.allowed) for plugin in registry.quarantined] == [("intruder", False)]


def test_a_broken_plugin_clashes_with_nobody(tmp_path: Path) -> None:
    registry = assembled(tmp_path, [found("one"), broken("one")])
    assert registry.get("one").id == "one"


def test_the_only_serving_plugin_serves_every_named_server(tmp_path: Path) -> None:
    registry = assembled(tmp_path, [compatible(), found("one")], SERVERS)
    assert list(registry.providers) == ["ollama", "one", "vllm"]
    assert registry.get("ollama").settings.base_url == "http://127.0.0.1:1/v1"
    assert "compatible" not in registry


def test_with_several_serving_plugins_each_server_must_say_which(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, [compatible(), compatible("other")], SERVERS)
    assert problem == "servers.ollama.plugin: say which plugin is to serve it: compatible, other."


def test_a_server_whose_plugin_is_not_installed_is_a_problem(tmp_path: Path) -> None:
    assert len(problems(tmp_path, [found("one")], SERVERS)) == 2


def test_a_server_named_like_a_provider_is_a_problem(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, [compatible(), found("one", aliases=("vllm",))], SERVERS)
    assert "'vllm' is the name of two providers" in problem


@pytest.mark.parametrize(
    ("lists", "served"),
    [
        ({"ORCHESTRATOR_PROVIDERS": "ollama"}, ["ollama"]),
        ({"ORCHESTRATOR_PROVIDERS": "compatible"}, ["ollama", "vllm"]),
        ({"ORCHESTRATOR_PROVIDERS": "one"}, ["one"]),
        ({"ORCHESTRATOR_PROVIDERS": "one,vllm"}, ["one", "vllm"]),
        ({"ORCHESTRATOR_DISABLED_PROVIDERS": "ollama"}, ["one", "vllm"]),
        ({"ORCHESTRATOR_DISABLED_PROVIDERS": "dist-compatible"}, ["one"]),
    ],
)
def test_the_lists_hold_for_named_servers(tmp_path: Path, lists: Mapping[str, str], served: Sequence[str]) -> None:
    registry = assembled(tmp_path, [compatible(), found("one")], {**SERVERS, **lists})
    assert list(registry.providers) == served


@pytest.mark.parametrize("taken", [found("ollama"), found("one", aliases=("ollama",)), broken("ollama")])
def test_a_server_takes_over_the_name_of_a_plugin_that_is_blocked(tmp_path: Path, taken: FoundPlugin) -> None:
    lists = {"ORCHESTRATOR_DISABLED_PROVIDERS": "ollama"}
    registry = assembled(tmp_path, [compatible(), taken], {**SERVERS, **lists})
    assert list(registry.providers) == ["ollama", "vllm"]
    assert registry.get("ollama").info.name == "compatible"
    assert registry.quarantined == []
    alone = {**lists, "ORCHESTRATOR_PROVIDERS": "ollama"}
    assert list(assembled(tmp_path, [compatible(), taken], {**SERVERS, **alone}).providers) == ["ollama"]


def test_a_blocked_plugin_serves_no_server_of_its_name(tmp_path: Path) -> None:
    servers = {"ORCHESTRATOR_SERVERS": '{"compatible": {"base_url": "http://127.0.0.1:1/v1"}}'}
    blocked = {"ORCHESTRATOR_DISABLED_PROVIDERS": "compatible"}
    assert list(assembled(tmp_path, [compatible(), found("one")], servers).providers) == ["compatible", "one"]
    assert list(assembled(tmp_path, [compatible(), found("one")], {**servers, **blocked}).providers) == ["one"]


def test_servers_of_a_broken_plugin_are_set_aside_and_the_others_served(tmp_path: Path) -> None:
    registry = assembled(tmp_path, [broken("compatible"), found("one")], SERVERS)
    assert list(registry.providers) == ["one"]
    with pytest.raises(PluginError, match="ValueError"):
        registry.get("vllm")
    with pytest.raises(PluginError, match="could be loaded"):
        registry.get("ollama")


def test_all_problems_of_settings_are_collected_without_their_values(tmp_path: Path) -> None:
    environ = {"ONE_DEFAULT_TEMPERATURE": "hot-secret", "TWO_DEFAULT_MAX_TOKENS": "many-secret"}
    first, second = problems(tmp_path, [found("one"), found("two"), found("three")], environ)
    assert "ONE_DEFAULT_TEMPERATURE" in first
    assert "TWO_DEFAULT_MAX_TOKENS" in second
    assert "secret" not in first + second


class Stillborn(ProviderHooks):
    def __init__(self, context: ProviderContext) -> None:
        raise SystemExit(3)


class Forgetful(ProviderHooks):
    def __init__(self, context: ProviderContext) -> None:
        pass


class Sleeping(ProviderHooks):
    def __init__(self, context: ProviderContext) -> None:
        time.sleep(1.5)


@pytest.mark.parametrize(
    ("base", "said"), [(Stillborn, "SystemExit"), (Forgetful, "AttributeError"), (Sleeping, "longer than 0.1 s")]
)
def test_an_instance_that_cannot_be_made_is_set_aside(tmp_path: Path, base: type[ProviderHooks], said: str) -> None:
    environ = {"ORCHESTRATOR_PLUGIN_LOAD_TIMEOUT": "0.1"}
    registry = assembled(tmp_path, [found("bad", base=base), found("good")], environ)
    assert list(registry.providers) == ["good"]
    (set_aside,) = registry.quarantined
    assert (set_aside.name, set_aside.distribution) == ("bad", "dist-bad")
    assert said in set_aside.reason


class Fussy(ProviderSettings):
    @field_validator("base_url")
    @classmethod
    def look(cls, value: str) -> str:
        raise KeyError(value)


def test_settings_that_cannot_be_read_set_the_plugin_aside(tmp_path: Path) -> None:
    plugins = [found("bad", settings_model=Fussy), found("good")]
    registry = assembled(tmp_path, plugins, {"BAD_BASE_URL": "http://127.0.0.1:1"})
    (set_aside,) = registry.quarantined
    assert set_aside.name == "bad"
    assert "reading its settings raised KeyError" in set_aside.reason
    assert list(registry.providers) == ["good"]


@pytest.mark.parametrize(
    ("written", "setting"),
    [
        ('default_provider = "ehco"', "default_provider"),
        ('summary_provider = "ehco"', "summary_provider"),
        ("[provider.ehco]\ndelay = 1.0", "provider.ehco"),
    ],
)
def test_a_provider_that_is_not_installed_is_named_with_the_nearest(tmp_path: Path, written: str, setting: str) -> None:
    (tmp_path / "orchestrator.toml").write_text(written)
    told = problems(tmp_path, [found("echo")])
    assert [problem.partition(":")[0] for problem in told] == [setting]
    assert "Did you mean echo?" in told[0]


def test_a_base_url_is_a_url(tmp_path: Path) -> None:
    told = problems(tmp_path, [found("echo")], {"ECHO_BASE_URL": "ftp://somewhere.example"})
    assert told[0].startswith("ECHO_BASE_URL")
    assert "somewhere" not in told[0]

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from fake_providers.instances import card, provided
from fake_providers.scripted import ScriptedProvider
from orchestrator_core.config import load
from orchestrator_core.plugins import QuarantinedPlugin, Registry
from orchestrator_core.provider_api import KeyRequest, KeyVerdict, NotFound, PluginError, ProviderHooks, hookimpl


class Keyed(ScriptedProvider):
    info = card("keyed", requires_key=True, aliases=("locked",))


class Moody(ProviderHooks):
    info = card("moody", requires_key=True)
    well = True

    @hookimpl
    def validate_key(self, request: KeyRequest) -> KeyVerdict:
        if not Moody.well:
            raise RuntimeError("not today")
        return KeyVerdict("valid", "****")


BROKEN = QuarantinedPlugin(name="rotten", distribution="orchestrator-rotten", version="0.3", reason="it raised X")


def make() -> Registry:
    keyed = provided(Keyed, keys=["k" * 24])
    return Registry([provided(ScriptedProvider), keyed], [BROKEN], origins={"keyed": ("orchestrator-keyed", "2.0")})


def test_a_provider_is_found_by_its_name_and_its_alias() -> None:
    registry = make()
    assert registry.get("locked") is registry.get("keyed")
    assert list(registry.providers) == ["keyed", "scripted"]
    assert "locked" in registry
    assert "rotten" not in registry


def test_a_named_server_has_no_alias() -> None:
    registry = Registry([provided(Keyed, "mine")])
    assert "mine" in registry
    assert "locked" not in registry


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotFound) as raised:
        make().get("nobody" * 100)
    assert "keyed, scripted" in raised.value.message
    assert len(raised.value.message) < 300
    assert not make().installed("nobody")


def test_a_quarantined_plugin_is_answered_with_the_reason() -> None:
    registry = make()
    with pytest.raises(PluginError) as raised:
        registry.get("rotten")
    assert raised.value.status == 502
    assert raised.value.message == "The plugin of 'rotten' (orchestrator-rotten 0.3) is quarantined: it raised X."
    assert registry.installed("rotten")


async def test_what_is_quarantined_is_not_called_any_more_and_told_once() -> None:
    registry = make()
    with capture_logs() as logged:
        registry.quarantine("keyed", "it blocked")
        registry.quarantine("keyed", "it blocked again")
    assert [(entry["event"], entry["provider"], entry["reason"]) for entry in logged] == [
        ("plugin quarantined", "keyed", "it blocked")
    ]
    provider = registry.get("keyed")
    assert (provider.healthy, provider.health_detail) == (False, "it blocked")
    assert [found.id for found in registry.usable] == ["scripted"]
    assert registry.quarantined[-1] == QuarantinedPlugin(
        name="keyed", distribution="orchestrator-keyed", version="2.0", reason="it blocked"
    )


def read(tmp_path: Path, **environ: str) -> Any:
    return load(environ=environ, directory=tmp_path)


def take(registry: Registry, config: Any) -> Sequence[str]:
    fresh = registry.fresh_keys(config, 10)
    for keys in fresh.providers.values():
        keys.use()
    return fresh.problems


def test_new_keys_are_taken_by_every_provider_that_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry([provided(Moody, keys=["old-old-old"]), provided(Keyed), provided(ScriptedProvider)])
    environ: Mapping[str, str] = {"MOODY_API_KEY": "new-new-new", "KEYED_API_KEY": "n" * 24}
    assert not take(registry, read(tmp_path, **environ))
    assert registry.get("moody").verdicts[0].status == "valid"
    assert registry.get("keyed").configured
    monkeypatch.setattr(Moody, "well", False)
    before = registry.get("moody").keys
    assert len(take(registry, read(tmp_path, SCRIPTED_API_KEY_FILE="nowhere"))) == 1, "moody has no key to look at now"
    assert not registry.get("keyed").configured
    (problem,) = take(registry, read(tmp_path, **environ))
    assert "'moody'" in problem
    assert "new-new" not in problem
    assert registry.get("keyed").configured
    assert registry.get("moody").keys == [] != before


def test_fresh_keys_are_judged_before_they_are_used(tmp_path: Path) -> None:
    registry = Registry([provided(Keyed, keys=["k" * 24])])
    fresh = registry.fresh_keys(read(tmp_path, KEYED_API_KEY="your-key-here"), 10).providers["keyed"]
    assert not fresh.configured
    assert len(fresh.flaws) == 1
    assert "your-key-here" not in fresh.flaws[0]
    assert registry.get("keyed").configured
    fresh.use()
    assert not registry.get("keyed").configured


def test_a_quarantined_provider_does_not_keep_the_others_from_new_keys(tmp_path: Path) -> None:
    registry = make()
    registry.quarantine("scripted", "it blocked")
    take(registry, read(tmp_path, KEYED_API_KEY="a" * 24, SCRIPTED_API_KEY="b" * 24))
    assert registry.get("keyed").configured

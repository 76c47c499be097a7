from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fake_packages import install_plugin
from fake_providers.instances import card
from orchestrator_core.plugins.loading import Isolated, class_fault, contract_fault, describe, find_plugins
from orchestrator_core.provider_api import (
    CONTRACT_VERSION,
    ENTRY_POINT_GROUP,
    EmbeddingRequest,
    EmbeddingResponse,
    ProviderHooks,
    ProviderSettings,
    hookimpl,
)

MAJOR, MINOR = map(int, CONTRACT_VERSION.split("."))


def plugin(**attributes: Any) -> type:
    return type("Plugin", (ProviderHooks,), {"info": card("acme"), **attributes})


def test_a_sound_class_has_no_fault() -> None:
    assert class_fault(plugin()) is None


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (None, "no subclass of ProviderHooks"),
        (plugin, "no subclass of ProviderHooks"),
        (dict, "no subclass of ProviderHooks"),
        (plugin(info=None), "set the class attribute `info`"),
        (plugin(info={"name": "acme"}), "set the class attribute `info`"),
        (plugin(settings_model=dict), "settings_model"),
        (plugin(settings_model=ProviderSettings()), "settings_model"),
        (plugin(info=card("acme", contract_version="9.0")), "contract"),
        (plugin(info=card("Acme")), "'Acme' cannot be a provider's name"),
        (plugin(info=card("a/b")), "'a/b' cannot be a provider's name"),
        (plugin(info=card("acme", aliases=("", "ok"))), "'' cannot be a provider's name"),
        (plugin(info=card("acme", capabilities=("embedings",))), "Did you mean embeddings?"),
    ],
)
def test_what_keeps_a_class_from_being_a_provider_is_said(cls: object, said: str) -> None:
    fault = class_fault(cls)
    assert fault is not None
    assert said in fault.problem
    assert fault.cure


@given(st.integers(0, 999_999), st.integers(0, 999_999))
@example(MAJOR, MINOR)
@example(MAJOR, MINOR + 1)
@example(MAJOR + 1, MINOR)
def test_a_plugin_of_the_same_major_and_no_higher_minor_is_taken(major: int, minor: int) -> None:
    taken = contract_fault(f"{major}.{minor}") is None
    assert taken is (major == MAJOR and minor <= MINOR)


@given(st.text())
def test_no_other_text_is_a_version(text: str) -> None:
    fault = contract_fault(text)
    if text.strip("0123456789.") or text.count(".") != 1:
        assert fault is not None
        assert "major.minor" in fault.problem


@pytest.mark.parametrize(
    "text", ["1", "1.0.0", "1.-1", "+1.0", " 1.0", "1_0.0", "1.0\n", "\u0661.0", "1." + "9" * 5000]
)
def test_what_int_would_take_is_no_version(text: str) -> None:
    fault = contract_fault(text)
    assert fault is not None
    assert "major.minor" in fault.problem


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raise_(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, Wordless, BaseException])
def test_code_of_a_plugin_may_raise_anything(kind: type[BaseException]) -> None:
    isolated = Isolated(lambda: raise_(kind("why")), "importing it").run(5)
    assert f"importing it raised {kind.__name__}" in (isolated.fault or "")
    assert isolated.result is None


def test_code_that_hangs_is_left_behind() -> None:
    began = time.monotonic()
    isolated = Isolated(lambda: time.sleep(1), "importing it").run(0.1)
    assert "longer than 0.1 s" in (isolated.fault or "")
    assert time.monotonic() - began < 0.8


def test_what_an_error_says_is_one_short_line_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "acme-key-one-111,acme-key-one-111-and-more")
    said = describe(ValueError("bad acme-key-one-111-and-more\nand acme-key-one-111" + "x" * 1000))
    assert said.startswith("ValueError: bad **** and ****xxx")
    assert len(said) < 250


CODE = """
from orchestrator_core.provider_api import ProviderHooks, ProviderInfo

class Provider(ProviderHooks):
    info = ProviderInfo(name="{name}", title="Acme", capabilities=("chat",))
"""


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> Any:
    def add(*sites: str) -> None:
        for site in reversed(sites):
            monkeypatch.syspath_prepend(site)

    return add


def test_of_a_distribution_that_is_there_twice_the_first_counts(tmp_path: Path, on_path: Any) -> None:
    first = install_plugin(tmp_path / "a", "orchestrator-acme-one", "acme", CODE.format(name="acme"))
    second = install_plugin(tmp_path / "b", "orchestrator-acme-one", "other", "raise RuntimeError")
    metadata = tmp_path / "b/orchestrator-acme-one/orchestrator_acme_one-1.2.3.dist-info/METADATA"
    metadata.write_text("Metadata-Version: 2.1\nName: Orchestrator_Acme.One\nVersion: 1.2.3\n")
    on_path(first, second)
    mine = [plugin for plugin in find_plugins(5) if plugin.distribution == "orchestrator-acme-one"]
    assert [(plugin.name, plugin.version, plugin.fault) for plugin in mine] == [("acme", "1.2.3", None)]
    assert mine[0].package == "orchestrator_acme_one"


def test_an_older_copy_behind_one_without_a_plugin_is_not_seen(tmp_path: Path, on_path: Any) -> None:
    first = install_plugin(tmp_path / "a", "orchestrator-acme-two", "acme", CODE.format(name="acme"))
    (tmp_path / "a/orchestrator-acme-two/orchestrator_acme_two-1.2.3.dist-info/entry_points.txt").write_text("")
    second = install_plugin(tmp_path / "b", "orchestrator-acme-two", "acme", CODE.format(name="acme"))
    on_path(first, second)
    assert not [plugin for plugin in find_plugins(5) if plugin.distribution == "orchestrator-acme-two"]


def test_the_rest_of_a_broken_installation_is_passed_over(tmp_path: Path, on_path: Any) -> None:
    rest = tmp_path / "site" / "orchestrator_rest-1.0.dist-info"
    rest.mkdir(parents=True)
    (rest / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\nrest = rest:Provider\n")
    empty = tmp_path / "site" / "orchestrator_empty-1.0.dist-info"
    empty.mkdir()
    fine = install_plugin(tmp_path, "orchestrator-acme-three", "acme", CODE.format(name="acme"))
    on_path(str(tmp_path / "site"), fine)
    distributions = [plugin.distribution for plugin in find_plugins(5)]
    assert "orchestrator-acme-three" in distributions
    assert "orchestrator-rest" not in distributions


class Marked(ProviderHooks):
    info = card("marked")

    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        return EmbeddingResponse(vectors=[])


def test_a_class_with_a_hook_has_no_fault() -> None:
    assert class_fault(Marked) is None


def test_no_code_of_a_plugin_outside_the_list_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "imported"
    code = f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n"
    monkeypatch.syspath_prepend(install_plugin(tmp_path, "Orchestrator-Listed", "intruder", code))
    (found,) = [plugin for plugin in find_plugins(5, {"orchestrator-echo"}) if plugin.name == "intruder"]
    assert not mark.exists()
    assert (found.cls, found.allowed) == (None, False)
    assert found.fault is not None
    assert "ORCHESTRATOR_ALLOWED_PLUGINS" in found.fault
    (listed,) = [plugin for plugin in find_plugins(5, {"orchestrator-listed"}) if plugin.name == "intruder"]
    assert listed.allowed
    assert mark.exists()

"""Rules for the distributions and for the tree as a whole."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "orchestrator-core"
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
TEST_COMMAND = "python3 -m venv .venv && .venv/bin/pip install -q nox && .venv/bin/nox -s tests"


def project(path: Path) -> dict[str, Any]:
    return tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))


ROOT_PROJECT = project(ROOT)


def test_the_root_is_no_distribution() -> None:
    assert "project" not in ROOT_PROJECT


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_is_a_package_of_its_own(path: Path) -> None:
    metadata = project(path)["project"]
    package = f"orchestrator_{path.name.replace('-', '_')}"
    assert metadata["name"] == f"orchestrator-{path.name}"
    assert list(metadata["entry-points"]) == ["orchestrator.providers"]
    assert all(value.startswith(f"{package}:") for value in metadata["entry-points"]["orchestrator.providers"].values())
    assert [dependency for dependency in metadata["dependencies"] if "orchestrator-" in dependency] == [
        "orchestrator-core>=0.1,<0.2"
    ]
    assert (path / "src" / package / "py.typed").exists()
    assert (path / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert len((path / "README.md").read_text().splitlines()) > 1, "a README that says what the provider is"


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.name)
def test_the_import_rules_know_every_plugin(path: Path) -> None:
    package = f"orchestrator_{path.name.replace('-', '_')}"
    rules = ROOT_PROJECT["tool"]["importlinter"]
    assert package in rules["root_packages"]
    named = {
        contract["name"]
        for contract in rules["contracts"]
        for field in ("source_modules", "forbidden_modules", "modules")
        if package in contract.get(field, ())
    }
    assert len(named) == 3, "core imports no plugin, no plugin another, and none more of core than it may"


def test_every_package_of_core_stands_in_the_import_rules() -> None:
    packages = {path.parent.name for path in (CORE / "src" / "orchestrator_core").glob("*/__init__.py")}
    layers = next(
        contract["layers"]
        for contract in ROOT_PROJECT["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    ranked = {module.strip().rpartition(".")[2] for layer in layers for module in layer.split(":")}
    assert packages == ranked | {"openai_compatible"}


def test_all_distributions_have_the_same_version() -> None:
    assert len({project(path)["project"]["version"] for path in (CORE, *PLUGINS)}) == 1


def test_the_readme_lists_the_providers_that_there_are() -> None:
    listed = re.findall(r"^\| `orchestrator-([\w-]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == [path.name for path in PLUGINS]


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    assert TEST_COMMAND in (ROOT / "README.md").read_text()
    assert TEST_COMMAND in (ROOT / ".ci" / "run").read_text()


def test_links_between_files_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
        if "_build" not in path.parts
        for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_every_test_module_has_a_name_of_its_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_tests_of_core_mirror_its_packages() -> None:
    packages = {path.name for path in (CORE / "src" / "orchestrator_core").iterdir() if path.is_dir()}
    tested = {path.name for path in (ROOT / "tests" / "core").iterdir() if any(path.glob("**/test_*.py"))}
    assert tested - packages == set()

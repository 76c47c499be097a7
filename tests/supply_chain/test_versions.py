"""One version of everything that is released together."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECTS = [ROOT / "orchestrator-core/pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]
VERSION = tomllib.loads(PROJECTS[0].read_text())["project"]["version"]
NAMED = {
    "deploy/Dockerfile": r"(?:orchestrator:|VERSION=)([\d.]+\d)",
    "deploy/compose.yaml": r"image: orchestrator:(\S+)",
    "deploy/helm/orchestrator/Chart.yaml": r"(?:^version|^appVersion): (\S+)",
    "deploy/kubernetes/base/kustomization.yaml": r"newTag: (\S+)",
    "deploy/kubernetes/upgrade-database.yaml": r"image: orchestrator:(\S+)",
    "docs/how-to/deployment.md": r"orchestrator:(\d[\d.]+\d)|newTag: ([\d.]+\d)",
    "docs/how-to/production.md": r"REPOSITORY:(\S+)",
    ".github/workflows/checks.yml": r"orchestrator:([\d.]+\d)",
}
"""Where a version stands, and how."""


def test_every_distribution_has_the_version_of_core() -> None:
    assert {tomllib.loads(path.read_text())["project"]["version"] for path in PROJECTS} == {VERSION}


def test_new_providers_ask_for_what_the_plugins_here_ask_for() -> None:
    template = ROOT / "orchestrator-core/src/orchestrator_core/testing/templates/common/pyproject.toml"
    needs = [tomllib.loads(path.read_text())["project"]["dependencies"] for path in (*PROJECTS[1:], template)]
    assert len({need for each in needs for need in each if need.startswith("orchestrator-core")}) == 1


def test_it_is_named_everywhere_else() -> None:
    for name, pattern in NAMED.items():
        found = {"".join(each.groups("")) for each in re.finditer(pattern, (ROOT / name).read_text(), re.MULTILINE)}
        assert found == {VERSION}, name


def test_no_file_of_the_deployment_was_forgotten() -> None:
    files = (path for path in (ROOT / "deploy").rglob("*") if path.is_file())
    having = {str(path.relative_to(ROOT)) for path in files if VERSION in path.read_text()}
    assert having == {name for name in NAMED if name.startswith("deploy/")}

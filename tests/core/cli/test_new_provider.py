"""`orchestrator new-provider`: packages that pass their own tests as they stand."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator_core.cli import new_provider
from orchestrator_core.cli.group import cli
from processes import RunCommand, inherited_environment

ROOT = Path(__file__).parents[3]
DOCUMENTED = [
    (ROOT / "docs" / path).read_text() for path in ("tutorial/writing-a-provider.md", "how-to/prove-a-provider.md")
]
MAX_LINES = 20
"""Lines of provider code for a vendor that speaks OpenAI's protocol."""


def generate(orchestrator: RunCommand, directory: Path, name: str, *options: str) -> Path:
    done = orchestrator("new-provider", name, *options)
    assert done.returncode == 0, done.stderr
    return directory / f"orchestrator-{name}"


@pytest.mark.parametrize("options", [(), ("--own-wire",)], ids=["compatible", "own-wire"])
def test_a_new_package_passes_its_own_tests(orchestrator: RunCommand, tmp_path: Path, options: tuple[str, ...]) -> None:
    package = generate(orchestrator, tmp_path, "my-vendor", *options)
    # pytest-asyncio warns where nobody configures it; the package does not use it.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-q"],
        cwd=package,
        env={**inherited_environment(), "PYTHONPATH": os.pathsep.join([str(package / "src"), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout
    assert "conformance of my-vendor (TestConformance)" in done.stdout
    assert "NO" not in done.stdout.partition("capability ")[2]
    if not options:
        shown = [text.partition("capability ")[2].partition("```")[0].splitlines()[1:] for text in DOCUMENTED]
        for line in (line for lines in shown for line in lines):
            assert line in done.stdout, "the documentation shows another table"


@pytest.mark.parametrize("options", [(), ("--own-wire",)], ids=["compatible", "own-wire"])
def test_a_new_package_is_complete(orchestrator: RunCommand, tmp_path: Path, options: tuple[str, ...]) -> None:
    package = generate(orchestrator, tmp_path, "my-vendor", *options)
    files = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    plugin = tomllib.loads((ROOT / "plugins" / "echo" / "pyproject.toml").read_text())["project"]

    assert files >= {
        ".github/workflows/ci.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/orchestrator_my_vendor/__init__.py",
        "src/orchestrator_my_vendor/provider.py",
        "src/orchestrator_my_vendor/py.typed",
        "tests/test_conformance.py",
    }
    assert project["entry-points"] == {
        "orchestrator.providers": {"my-vendor": "orchestrator_my_vendor:MyVendorProvider"}
    }
    assert project["dependencies"] == plugin["dependencies"], "the template is as new as the plugins here"
    text = "".join(path.read_text() for path in package.rglob("*") if path.is_file())
    assert "acme" not in text.lower()
    assert "MY_VENDOR_API_KEY" in text


def test_the_steps_are_the_same_wherever_they_stand(orchestrator: RunCommand, tmp_path: Path) -> None:
    """The pip that comes with Python 3.11 knows no groups, so an extra brings the tools; `nox -s newcomer` does it."""
    said = orchestrator("new-provider", "acme").stdout
    printed = [line.strip() for line in said.partition("Next:")[2].splitlines() if line.strip()]
    package = tmp_path / "orchestrator-acme"
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]

    assert printed == [
        "cd orchestrator-acme",
        'pip install --editable ".[dev]"',
        "pytest",
        "orchestrator plugins doctor acme",
    ]
    assert "orchestrator-core[testing]" in project["optional-dependencies"]["dev"]
    for path in (
        package / "README.md",
        package / ".github/workflows/ci.yml",
        ROOT / "docs/tutorial/writing-a-provider.md",
    ):
        assert printed[1] in path.read_text(), path
        assert "--group" not in path.read_text(), path


def test_a_compatible_vendor_takes_few_lines(orchestrator: RunCommand, tmp_path: Path) -> None:
    package = generate(orchestrator, tmp_path, "acme")
    source = (package / "src" / "orchestrator_acme" / "provider.py").read_text()
    code = [line for line in source.splitlines() if line.strip() and not line.lstrip().startswith(("#", '"""'))]

    assert len(code) <= MAX_LINES
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]


def test_what_tools_leave_beside_the_templates_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(new_provider._templates(), templates)  # type: ignore[call-overload]  # it is a directory here
    for left in (".mypy_cache", "__pycache__"):
        (templates / "common" / left).mkdir(exist_ok=True)
        (templates / "common" / left / "left").write_bytes(b"\xff")
    monkeypatch.setattr(new_provider, "_templates", lambda: templates)
    done = CliRunner().invoke(cli, ["new-provider", "acme", "--directory", str(tmp_path / "made")])

    assert done.exit_code == 0, done.output
    assert not [path for path in (tmp_path / "made").rglob("*") if path.name == "left"]


def test_what_is_there_is_not_overwritten(orchestrator: RunCommand, tmp_path: Path) -> None:
    kept = tmp_path / "place" / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    done = orchestrator("new-provider", "acme", "--directory", "place")

    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert [path.name for path in kept.parent.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize("name", ["Acme", "1st", "a_b", "a--b", "../a", "a b", "-a", ""])
def test_a_name_that_is_none_is_wrong_usage(orchestrator: RunCommand, tmp_path: Path, name: str) -> None:
    assert orchestrator("new-provider", "--", name).returncode == 2
    assert not list(tmp_path.iterdir())

"""The notes of a release: the changelog's section of its version, and no release before that is written."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import pytest

from supply_chain.scripts import ROOT, load_script

WRITTEN = """\
# Changelog

## 1.10.0, 2027-02-01

### Added

- Something new.

## 1.1.0, 2027-01-01

- Something old.
"""


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load_script("release_notes")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    core = tmp_path / "orchestrator-core"
    core.mkdir()
    (core / "pyproject.toml").write_text('[project]\nversion = "1.10.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(WRITTEN)
    (tmp_path / "changes").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_section_of_the_version_is_printed(
    module: ModuleType, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert module.main(tree, "v1.10.0") == 0
    assert capsys.readouterr().out == "### Added\n\n- Something new.\n"


def test_a_tag_of_another_version_is_refused(
    module: ModuleType, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert module.main(tree, "v1.1.0") == 1
    assert "The tag is v1.1.0, and the version of this tree 1.10.0." in capsys.readouterr().err


@pytest.mark.parametrize("left", [True, False])
def test_a_version_whose_notes_are_not_finished_is_refused(module: ModuleType, tree: Path, left: bool) -> None:
    if left:
        (tree / "changes/12.fixed.md").write_text("A mistake is mended.\n")
    else:
        (tree / "CHANGELOG.md").write_text("# Changelog\n")
    assert "run `towncrier build`" in module.refusal(tree, "v1.10.0")


def test_before_that_the_fragments_say_what_will_be_new(
    module: ModuleType, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("towncrier", reason="it comes with the dependency group `notes`")
    (tree / "CHANGELOG.md").write_text("# Changelog\n")
    (tree / "changes/12.fixed.md").write_text("A mistake\nis mended.\n")
    (tree / "changes/+new.added.md").write_text("Something new.\n")
    assert module.main(tree, None) == 0
    assert capsys.readouterr().out == "### Added\n\n- Something new.\n\n### Fixed\n\n- A mistake\n  is mended. (#12)\n"

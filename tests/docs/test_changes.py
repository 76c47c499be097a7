"""The fragments of `changes/`, each a note for the people who use the gateway."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOWNCRIER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
KINDS = [kind["directory"] for kind in TOWNCRIER["type"]]
NAME = re.compile(rf"(\d+|\+[a-z0-9-]+)\.({'|'.join(KINDS)})\.md")
FRAGMENTS = sorted((ROOT / TOWNCRIER["directory"]).iterdir())


def test_the_next_release_has_its_place_in_the_changelog() -> None:
    text = (ROOT / TOWNCRIER["filename"]).read_text()
    assert TOWNCRIER["start_string"] in text
    assert not re.search(r"^##.*unreleased", text, re.MULTILINE | re.IGNORECASE), "what is unreleased is in `changes/`"


@pytest.mark.parametrize("path", [path for path in FRAGMENTS if path.name != "README.md"], ids=lambda path: path.name)
def test_a_fragment_is_found_and_reads_well(path: Path) -> None:
    assert NAME.fullmatch(path.name), f"towncrier does not see it: call it NUMBER.KIND.md or +WORDS.KIND.md, {KINDS}"
    text = path.read_text()
    assert text.strip() == text.removesuffix("\n"), "no empty lines around it"
    assert "\n\n" not in text, "one paragraph"
    assert not text.startswith(("-", "*", "#")), "towncrier makes the list"
    assert text.rstrip().endswith("."), "a whole sentence"
    assert max(map(len, text.splitlines())) <= 140

"""The threat model names code and tests that exist, in every row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "orchestrator-core" / "src" / "orchestrator_core"
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs/explanation/threat-model.md").read_text().splitlines()
    if line.startswith("| ") and line.count(" | ") == 4 and not line.startswith("| Threat")
]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].removeprefix("| "))
def test_code_and_tests_of_a_threat_are_there(row: list[str]) -> None:
    _, measure, where, held, _ = row
    for name in named(where):
        assert (SOURCE / name).is_file() or (ROOT / name).is_file(), name
    for name in named(held):
        assert name.startswith("tests/")
        assert (ROOT / name).is_file(), name
    assert measure == "nothing" or (named(where) and named(held)), "a measure has code, and a test that holds it"


def test_the_tables_are_read() -> None:
    assert len(ROWS) > 40
